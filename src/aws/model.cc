#include "aws/model.h"

#include <array>
#include <cmath>

namespace millwright::aws {
namespace tables {

extern const ServiceTable kSagemaker, kSagemakerRuntime, kLogs, kCloudwatch, kIam, kSts, kS3, kEcr;

}  // namespace tables

namespace {

constexpr std::array kServices = {&tables::kSagemaker, &tables::kSagemakerRuntime,
                                  &tables::kLogs,      &tables::kCloudwatch,
                                  &tables::kIam,       &tables::kSts,
                                  &tables::kS3,        &tables::kEcr};

std::optional<double> finite(double limit) { return std::isfinite(limit) ? std::optional(limit) : std::nullopt; }

}  // namespace

std::string_view Member::location_name() const { return has_location_name() ? text(row().location_name) : name(); }

Shape Member::shape() const { return {table_, row().shape}; }

TimestampFormat Member::timestamp_format() const {
    return row().timestamp_format != TimestampFormat::Default ? row().timestamp_format : shape().timestamp_format();
}

std::optional<Member> Shape::find_member(std::string_view name) const {
    for (const Member member : members())
        if (member.name() == name) return member;
    return std::nullopt;
}

std::optional<double> Shape::min() const {
    return row().limits == tables::kNoRow ? std::nullopt : finite(table_->limits[row().limits].min);
}

std::optional<double> Shape::max() const {
    return row().limits == tables::kNoRow ? std::nullopt : finite(table_->limits[row().limits].max);
}

std::string_view Shape::error_code() const {
    return row().error == tables::kNoRow ? name() : text(table_->errors[row().error].code);
}

int Shape::error_status() const {
    return row().error == tables::kNoRow ? 400 : static_cast<int>(table_->errors[row().error].status);
}

std::optional<Shape> ModelOperation::input() const {
    return row().input == tables::kNoRow ? std::nullopt : std::optional(Shape(table_, row().input));
}

std::optional<Shape> ModelOperation::output() const {
    return row().output == tables::kNoRow ? std::nullopt : std::optional(Shape(table_, row().output));
}

std::optional<Pagination> ModelOperation::pagination() const {
    if (row().pagination == tables::kNoRow) return std::nullopt;
    const tables::PaginationRow& rule = table_->paginations[row().pagination];
    return Pagination{text(rule.input_token), text(rule.output_token), text(rule.limit_key), text(rule.result_key)};
}

std::optional<ModelOperation> ServiceModel::find_operation(std::string_view name) const {
    uint32_t low = 0, high = table_->operation_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const ModelOperation operation(table_, middle);
        if (operation.name() == name) return operation;
        if (operation.name() < name)
            low = middle + 1;
        else
            high = middle;
    }
    return std::nullopt;
}

std::optional<Shape> ServiceModel::find_shape(std::string_view name) const {
    for (const Shape shape : shapes())
        if (shape.name() == name) return shape;
    return std::nullopt;
}

std::optional<ServiceModel> find_service(std::string_view name) {
    for (const tables::ServiceTable* table : kServices)
        if (table->name == name) return ServiceModel(table);
    return std::nullopt;
}

}  // namespace millwright::aws
