#include "programs/server/image_repositories.h"

#include "services/registry/repository_access.h"

namespace millwright::programs {
namespace {

class RegistryRepositories final : public resources::ImageRepositories {
  public:
    RegistryRepositories(registry::Registry& registry, resources::Tags& tags) : registry_(registry), tags_(tags) {}

    Result<Found> find(const oci::Reference& reference) override {
        Found found;
        const auto name = repository_of(reference);
        if (!name) return found;
        const auto repository = registry_.find_repository(*name);
        if (!repository && repository.error().kind != ErrorKind::NotFound) return repository.error();
        if (!repository) return found;
        found.repository = true;
        const auto image =
            registry_.find_image(*name, {reference.digest.empty() ? reference.tag : "", reference.digest});
        if (!image && image.error().kind != ErrorKind::NotFound) return image.error();
        found.image = image.has_value();
        return found;
    }

    Result<aws::Access> access(const oci::Reference& reference, const std::string& action) override {
        const auto name = repository_of(reference);
        if (!name) return internal_error("no repository of ours: " + oci::to_string(reference));
        return services::repository_access(registry_, tags_, *name, action);
    }

  private:
    registry::Registry& registry_;
    resources::Tags& tags_;
};

}  // namespace

std::optional<registry::RepositoryName> repository_of(const oci::Reference& reference) {
    auto host = oci::parse_ecr_host(reference.host);
    if (!host) return std::nullopt;
    return registry::RepositoryName{std::move(host->account), std::move(host->region), reference.repository};
}

std::unique_ptr<resources::ImageRepositories> image_repositories(registry::Registry& registry, resources::Tags& tags) {
    return std::make_unique<RegistryRepositories>(registry, tags);
}

}  // namespace millwright::programs
