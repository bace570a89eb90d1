// On-demand prices of SageMaker training in US dollars per instance hour, as public documents state them. AWS's own
// price list (offer AmazonSageMaker) is the authority; this is what could be supported when it was written, each row
// with the date of its document, and no row is computed from another. What is missing or has changed belongs into the
// user's prices.toml.
#include "resources/cost/prices.h"

namespace millwright::resources {
namespace {

// Usage types "…-Train:ml.…" of the bulk price list or of the price list API, as quoted in public notes.
constexpr std::string_view kPriceList = "AWS price list, AmazonSageMaker, usage type Train";
// Usage type "Studio:JupyterLab-ml.…" of the same list. Where both are known they differ by rounding only.
constexpr std::string_view kStudioPriceList = "AWS price list, AmazonSageMaker, usage type Studio:JupyterLab";
// A bill that AWS publishes: github.com/aws-samples/sagemaker-ssh-helper, Sample_Costs.md.
constexpr std::string_view kBill = "AWS bill, line 'per Training … hour'";
// aws.amazon.com/sagemaker/pricing as copied into public documents, on-demand.
constexpr std::string_view kPricingPage = "SageMaker pricing page, on-demand";

// clang-format off
constexpr ListPrice kListPrices[] = {
    {"us-east-1", "ml.m5.large", {115'000}, "2026-08-11", kPriceList},
    {"us-east-1", "ml.m5.xlarge", {230'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.m5.4xlarge", {922'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.m6i.4xlarge", {922'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.c6i.8xlarge", {1'632'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.r5.4xlarge", {1'210'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.r7i.2xlarge", {635'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.r7i.4xlarge", {1'270'100}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.g4dn.xlarge", {736'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.g5.xlarge", {1'408'000}, "2026-09-24", kPriceList},
    {"us-east-1", "ml.g5.2xlarge", {1'515'000}, "2026-08-20", kPriceList},
    {"us-east-1", "ml.g6.xlarge", {1'127'000}, "2026-09-24", kPriceList},

    {"us-east-2", "ml.r5.2xlarge", {605'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.r5.4xlarge", {1'210'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.r5.8xlarge", {2'419'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g4dn.2xlarge", {940'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g4dn.4xlarge", {1'505'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g4dn.8xlarge", {2'720'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g4dn.12xlarge", {4'890'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g4dn.16xlarge", {5'440'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.g5.xlarge", {1'257'500}, "2026-07-31", kBill},
    {"us-east-2", "ml.g5.16xlarge", {5'120'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.p3.2xlarge", {3'825'000}, "2025-01-22", kPricingPage},
    {"us-east-2", "ml.p3.8xlarge", {14'688'000}, "2025-01-22", kPricingPage},

    {"us-west-2", "ml.t3.medium", {50'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.t3.large", {100'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.t3.xlarge", {200'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.t3.2xlarge", {399'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.m5.large", {115'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.m5.xlarge", {230'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.m5.2xlarge", {461'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.m5.4xlarge", {922'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.c5.xlarge", {204'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.c5.2xlarge", {408'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g4dn.xlarge", {736'400}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g4dn.2xlarge", {940'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.xlarge", {1'410'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.2xlarge", {1'520'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.4xlarge", {2'030'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.8xlarge", {3'060'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.12xlarge", {7'090'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.24xlarge", {10'180'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g5.48xlarge", {20'360'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.xlarge", {1'127'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.2xlarge", {1'222'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.4xlarge", {1'654'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.12xlarge", {5'752'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.24xlarge", {8'344'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g6.48xlarge", {16'688'000}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.2xlarge", {4'203'900}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.4xlarge", {4'997'700}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.8xlarge", {6'585'300}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.12xlarge", {10'357'600}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.24xlarge", {20'715'200}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.g7e.48xlarge", {41'430'400}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.p4d.24xlarge", {25'251'286}, "2026-09-01", kStudioPriceList},
    {"us-west-2", "ml.p5.48xlarge", {63'296'000}, "2026-09-01", kStudioPriceList},

    {"eu-west-1", "ml.m5.xlarge", {257'000}, "2023-12-31", kBill},
    {"eu-west-1", "ml.g4dn.xlarge", {822'000}, "2023-12-31", kBill},
    {"eu-west-1", "ml.g5.xlarge", {1'570'000}, "2023-12-31", kBill},
    {"eu-west-1", "ml.p3.2xlarge", {4'131'000}, "2023-12-31", kBill},

    {"ap-northeast-1", "ml.g6.xlarge", {1'634'000}, "2026-09-23", kPriceList},

    {"ap-south-1", "ml.m5.xlarge", {242'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.m5.4xlarge", {970'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.m6i.4xlarge", {970'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.c6i.8xlarge", {1'632'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.r5.4xlarge", {1'248'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.r7i.2xlarge", {655'200}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.r7i.4xlarge", {1'310'400}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.g4dn.xlarge", {811'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.g5.xlarge", {1'690'000}, "2026-09-24", kPriceList},
    {"ap-south-1", "ml.g6.xlarge", {1'353'000}, "2026-09-24", kPriceList},
};
// clang-format on

}  // namespace

std::span<const ListPrice> list_prices() { return kListPrices; }

}  // namespace millwright::resources
