#include "catalog/instances.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tg::catalog {

namespace {

constexpr double kMi = 1024.0 * 1024.0;
constexpr double kGi = 1024.0 * kMi;

// A family whose types differ in size only: processors of the smallest named size, GiB per processor.
struct Family {
  std::string_view cloud;
  std::string_view name;
  double gib_per_cpu;
  std::string_view sizes;  // with '|' around each
};

constexpr std::string_view kSixth =
    "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|32xlarge|";
constexpr std::string_view kFifth = "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|";
constexpr std::string_view kOtc = "|medium|large|xlarge|2xlarge|3xlarge|4xlarge|6xlarge|8xlarge|16xlarge|";
constexpr std::string_view kGoogle = "|2|4|8|16|32|48|64|80|96|128|";
constexpr std::string_view kAzure = "|2|4|8|16|32|48|64|96|";

constexpr auto kFamilies = std::to_array<Family>({
    {"aws", "m5", 4, kFifth},
    {"aws", "m5a", 4, kFifth},
    {"aws", "m5d", 4, kFifth},
    {"aws", "m6a", 4, kSixth},
    {"aws", "m6g", 4, "|medium|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|"},
    {"aws", "m6i", 4, kSixth},
    {"aws", "m6id", 4, kSixth},
    {"aws", "m7a", 4, kSixth},
    {"aws", "m7g", 4, "|medium|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|"},
    {"aws", "m7i", 4, "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|48xlarge|"},
    {"aws", "c5", 2, "|large|xlarge|2xlarge|4xlarge|9xlarge|12xlarge|18xlarge|24xlarge|"},
    {"aws", "c6a", 2, kSixth},
    {"aws", "c6i", 2, kSixth},
    {"aws", "c7i", 2, "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|48xlarge|"},
    {"aws", "r5", 8, kFifth},
    {"aws", "r6g", 8, "|medium|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|"},
    {"aws", "r6i", 8, kSixth},
    {"aws", "r7i", 8, "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|48xlarge|"},
    {"aws", "i4i", 8, "|large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge|32xlarge|"},
    {"google", "e2-standard", 4, "|2|4|8|16|32|"},
    {"google", "e2-highmem", 8, "|2|4|8|16|"},
    {"google", "n1-standard", 3.75, "|1|2|4|8|16|32|64|96|"},
    {"google", "n2-standard", 4, kGoogle},
    {"google", "n2-highmem", 8, kGoogle},
    {"google", "n2-highcpu", 1, kGoogle},
    {"google", "n2d-standard", 4, "|2|4|8|16|32|48|64|80|96|128|224|"},
    {"google", "c3-standard", 4, "|4|8|22|44|88|176|"},
    {"google", "c4-standard", 3.75, "|2|4|8|16|24|32|48|96|"},
    {"azure", "D_v4", 4, kAzure},
    {"azure", "Ds_v4", 4, kAzure},
    {"azure", "D_v5", 4, kAzure},
    {"azure", "Ds_v5", 4, kAzure},
    {"azure", "Dds_v5", 4, kAzure},
    {"azure", "Das_v5", 4, kAzure},
    {"azure", "Dads_v5", 4, kAzure},
    {"azure", "Ds_v6", 4, kAzure},
    {"azure", "Es_v5", 8, kAzure},
    {"azure", "Eds_v5", 8, kAzure},
    {"azure", "Eas_v5", 8, kAzure},
    {"azure", "Fs_v2", 2, "|2|4|8|16|32|48|64|72|"},
    {"azure", "Ls_v3", 8, "|8|16|32|48|64|80|"},
});

// Types that follow no rule, GPUs above all.
struct Single {
  std::string_view cloud, type;
  double cpu, gib;
  int gpus;
};
constexpr auto kSingles = std::to_array<Single>({
    {"aws", "t3.medium", 2, 4, 0},
    {"aws", "t3.large", 2, 8, 0},
    {"aws", "t3.xlarge", 4, 16, 0},
    {"aws", "t3.2xlarge", 8, 32, 0},
    {"aws", "g4dn.xlarge", 4, 16, 1},
    {"aws", "g4dn.2xlarge", 8, 32, 1},
    {"aws", "g4dn.4xlarge", 16, 64, 1},
    {"aws", "g4dn.8xlarge", 32, 128, 1},
    {"aws", "g4dn.12xlarge", 48, 192, 4},
    {"aws", "g4dn.16xlarge", 64, 256, 1},
    {"aws", "g5.xlarge", 4, 16, 1},
    {"aws", "g5.2xlarge", 8, 32, 1},
    {"aws", "g5.4xlarge", 16, 64, 1},
    {"aws", "g5.8xlarge", 32, 128, 1},
    {"aws", "g5.12xlarge", 48, 192, 4},
    {"aws", "g5.16xlarge", 64, 256, 1},
    {"aws", "g5.24xlarge", 96, 384, 4},
    {"aws", "g5.48xlarge", 192, 768, 8},
    {"aws", "g6.xlarge", 4, 16, 1},
    {"aws", "g6.2xlarge", 8, 32, 1},
    {"aws", "g6.4xlarge", 16, 64, 1},
    {"aws", "g6.12xlarge", 48, 192, 4},
    {"aws", "g6.48xlarge", 192, 768, 8},
    {"aws", "g6e.xlarge", 4, 32, 1},
    {"aws", "g6e.12xlarge", 48, 384, 4},
    {"aws", "g6e.48xlarge", 192, 1536, 8},
    {"aws", "p3.2xlarge", 8, 61, 1},
    {"aws", "p3.8xlarge", 32, 244, 4},
    {"aws", "p3.16xlarge", 64, 488, 8},
    {"aws", "p4d.24xlarge", 96, 1152, 8},
    {"aws", "p4de.24xlarge", 96, 1152, 8},
    {"aws", "p5.4xlarge", 16, 256, 1},
    {"aws", "p5.48xlarge", 192, 2048, 8},
    {"aws", "p5e.48xlarge", 192, 2048, 8},
    {"aws", "p5en.48xlarge", 192, 2048, 8},
    {"aws", "p6-b200.48xlarge", 192, 2048, 8},
    {"google", "a2-highgpu-1g", 12, 85, 1},
    {"google", "a2-highgpu-2g", 24, 170, 2},
    {"google", "a2-highgpu-4g", 48, 340, 4},
    {"google", "a2-highgpu-8g", 96, 680, 8},
    {"google", "a2-ultragpu-1g", 12, 170, 1},
    {"google", "a2-ultragpu-8g", 96, 1360, 8},
    {"google", "a3-highgpu-8g", 208, 1872, 8},
    {"google", "g2-standard-4", 4, 16, 1},
    {"google", "g2-standard-8", 8, 32, 1},
    {"google", "g2-standard-12", 12, 48, 1},
    {"google", "g2-standard-16", 16, 64, 1},
    {"google", "g2-standard-24", 24, 96, 2},
    {"google", "g2-standard-32", 32, 128, 1},
    {"google", "g2-standard-48", 48, 192, 4},
    {"google", "g2-standard-96", 96, 384, 8},
    {"google", "c3-standard-4-lssd", 4, 16, 0},
    {"google", "c3-standard-8-lssd", 8, 32, 0},
    {"google", "c3-standard-22-lssd", 22, 88, 0},
    {"google", "c3-standard-44-lssd", 44, 176, 0},
    {"google", "e2-medium", 2, 4, 0},
    {"azure", "Standard_B2s", 2, 4, 0},
    {"azure", "Standard_B2ms", 2, 8, 0},
    {"azure", "Standard_B4ms", 4, 16, 0},
    {"azure", "Standard_NC4as_T4_v3", 4, 28, 1},
    {"azure", "Standard_NC8as_T4_v3", 8, 56, 1},
    {"azure", "Standard_NC16as_T4_v3", 16, 110, 1},
    {"azure", "Standard_NC64as_T4_v3", 64, 440, 4},
    {"azure", "Standard_NC6s_v3", 6, 112, 1},
    {"azure", "Standard_NC24ads_A100_v4", 24, 220, 1},
    {"azure", "Standard_NC48ads_A100_v4", 48, 440, 2},
    {"azure", "Standard_NC96ads_A100_v4", 96, 880, 4},
    {"azure", "Standard_NC40ads_H100_v5", 40, 320, 1},
    {"azure", "Standard_ND96asr_v4", 96, 900, 8},
    {"azure", "Standard_ND96isr_H100_v5", 96, 1900, 8},
    {"openTelekomCloud", "pi2.2xlarge.4", 8, 32, 1},
    {"openTelekomCloud", "pi2.4xlarge.4", 16, 64, 2},
    {"openTelekomCloud", "pi2.8xlarge.4", 32, 128, 4},
    {"openTelekomCloud", "p2s.2xlarge.8", 8, 64, 1},
    {"openTelekomCloud", "p2s.4xlarge.8", 16, 128, 2},
    {"openTelekomCloud", "p2s.8xlarge.8", 32, 256, 4},
    {"openTelekomCloud", "p2s.16xlarge.8", 64, 512, 8},
    {"openTelekomCloud", "p2v.2xlarge.8", 8, 64, 1},
    {"openTelekomCloud", "p2v.4xlarge.8", 16, 128, 2},
    {"openTelekomCloud", "p2v.8xlarge.8", 32, 256, 4},
    {"openTelekomCloud", "p2v.16xlarge.8", 64, 512, 8},
    {"openTelekomCloud", "p3s.3xlarge.8", 12, 96, 1},
});
// Families of Open Telekom Cloud for general use: TYPE.SIZE.RATIO says all of itself.
constexpr auto kOtcFamilies = std::to_array<std::string_view>(
    {"s2", "s3", "s7n", "c3", "c4", "c7n", "m3", "m4", "m7n", "x1", "x1e", "d2", "d3", "i3", "ir3"});

std::optional<int> whole(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

bool one_of(std::string_view sizes, std::string_view size) {
  return sizes.find(fmt::format("|{}|", size)) != std::string_view::npos;
}

// "large" 2, "xlarge" 4, "12xlarge" 48; medium is 1.
int processors(std::string_view size) {
  if (size == "medium") return 1;
  if (size == "large") return 2;
  if (!size.ends_with("xlarge")) return 0;
  size.remove_suffix(6);
  return size.empty() ? 4 : 4 * whole(size).value_or(0);
}

struct Parts {
  std::string family;
  std::string size;
  int cpu = 0;
};

// What a type's name says of itself; nothing if the cloud does not write its types so.
std::optional<Parts> parts(std::string_view cloud, std::string_view type) {
  const auto simple = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
  };
  if (cloud == "aws") {
    const std::size_t dot = type.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view family = type.substr(0, dot), size = type.substr(dot + 1);
    if (!simple(family) || (processors(size) == 0 && !size.starts_with("metal"))) {
      if (!one_of("|nano|micro|small|", size)) return std::nullopt;
    }
    return Parts{std::string(family), std::string(size), processors(size)};
  }
  if (cloud == "openTelekomCloud") {
    const std::size_t first = type.find('.'), last = type.rfind('.');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    const std::string_view size = type.substr(first + 1, last - first - 1);
    if (!simple(type.substr(0, first)) || processors(size) == 0 || !whole(type.substr(last + 1)))
      return std::nullopt;
    return Parts{std::string(type.substr(0, first)), std::string(size), processors(size)};
  }
  if (cloud == "google") {
    const std::size_t first = type.find('-'), last = type.rfind('-');
    if (first == std::string_view::npos || !simple(type)) return std::nullopt;
    const std::string_view size = type.substr(last + 1);
    return Parts{std::string(type.substr(0, last)), std::string(size), whole(size).value_or(0)};
  }
  if (cloud == "azure") {
    // Standard_D8s_v5: letters, processors, letters, version.
    constexpr std::string_view kStart = "Standard_";
    if (!type.starts_with(kStart)) return std::nullopt;
    const std::string_view rest = type.substr(kStart.size());
    const std::size_t digits = rest.find_first_of("0123456789");
    if (digits == std::string_view::npos || digits == 0) return std::nullopt;
    const std::size_t after = std::min(rest.find_first_not_of("0123456789", digits), rest.size());
    const std::string_view size = rest.substr(digits, after - digits);
    return Parts{fmt::format("{}{}", rest.substr(0, digits), rest.substr(after)), std::string(size),
                 whole(size).value_or(0)};
  }
  return std::nullopt;
}

struct CloudWords {
  std::string_view cloud;
  std::span<const std::string_view> regions, disks;
};
constexpr auto kAwsRegions = std::to_array<std::string_view>(
    {"us-east-1",      "us-east-2",      "us-west-1",      "us-west-2",      "ca-central-1",
     "ca-west-1",      "eu-west-1",      "eu-west-2",      "eu-west-3",      "eu-central-1",
     "eu-central-2",   "eu-north-1",     "eu-south-1",     "eu-south-2",     "ap-east-1",
     "ap-south-1",     "ap-south-2",     "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
     "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
     "sa-east-1",      "af-south-1",     "me-south-1",     "me-central-1",   "il-central-1",
     "mx-central-1",   "us-gov-west-1",  "us-gov-east-1"});
constexpr auto kGoogleRegions = std::to_array<std::string_view>({"us-central1",
                                                                 "us-east1",
                                                                 "us-east4",
                                                                 "us-east5",
                                                                 "us-south1",
                                                                 "us-west1",
                                                                 "us-west2",
                                                                 "us-west3",
                                                                 "us-west4",
                                                                 "europe-west1",
                                                                 "europe-west2",
                                                                 "europe-west3",
                                                                 "europe-west4",
                                                                 "europe-west6",
                                                                 "europe-west8",
                                                                 "europe-west9",
                                                                 "europe-west10",
                                                                 "europe-west12",
                                                                 "europe-north1",
                                                                 "europe-central2",
                                                                 "europe-southwest1",
                                                                 "asia-east1",
                                                                 "asia-east2",
                                                                 "asia-northeast1",
                                                                 "asia-northeast2",
                                                                 "asia-northeast3",
                                                                 "asia-south1",
                                                                 "asia-south2",
                                                                 "asia-southeast1",
                                                                 "asia-southeast2",
                                                                 "australia-southeast1",
                                                                 "australia-southeast2",
                                                                 "northamerica-northeast1",
                                                                 "northamerica-northeast2",
                                                                 "southamerica-east1",
                                                                 "southamerica-west1",
                                                                 "me-west1",
                                                                 "me-central1",
                                                                 "africa-south1"});
constexpr auto kAzureRegions = std::to_array<std::string_view>({"eastus",
                                                                "eastus2",
                                                                "centralus",
                                                                "northcentralus",
                                                                "southcentralus",
                                                                "westus",
                                                                "westus2",
                                                                "westus3",
                                                                "westcentralus",
                                                                "canadacentral",
                                                                "canadaeast",
                                                                "brazilsouth",
                                                                "northeurope",
                                                                "westeurope",
                                                                "uksouth",
                                                                "ukwest",
                                                                "francecentral",
                                                                "germanywestcentral",
                                                                "switzerlandnorth",
                                                                "norwayeast",
                                                                "swedencentral",
                                                                "polandcentral",
                                                                "italynorth",
                                                                "spaincentral",
                                                                "eastasia",
                                                                "southeastasia",
                                                                "japaneast",
                                                                "japanwest",
                                                                "koreacentral",
                                                                "australiaeast",
                                                                "australiasoutheast",
                                                                "centralindia",
                                                                "southindia",
                                                                "uaenorth",
                                                                "southafricanorth",
                                                                "qatarcentral",
                                                                "israelcentral"});
constexpr auto kOtcRegions = std::to_array<std::string_view>({"eu-de", "eu-nl", "eu-ch2"});
constexpr auto kAwsDisks = std::to_array<std::string_view>({"gp3", "gp2", "io1", "io2", "st1", "sc1"});
constexpr auto kGoogleDisks = std::to_array<std::string_view>(
    {"pd-balanced", "pd-ssd", "pd-standard", "pd-extreme", "hyperdisk-balanced"});
constexpr auto kAzureDisks =
    std::to_array<std::string_view>({"Managed", "Ephemeral", "Premium_LRS", "PremiumV2_LRS", "Premium_ZRS",
                                     "StandardSSD_LRS", "StandardSSD_ZRS", "Standard_LRS", "UltraSSD_LRS"});
constexpr auto kOtcDisks = std::to_array<std::string_view>({"SSD", "SAS", "SATA", "GPSSD", "ESSD"});
constexpr auto kClouds = std::to_array<CloudWords>({{"aws", kAwsRegions, kAwsDisks},
                                                    {"google", kGoogleRegions, kGoogleDisks},
                                                    {"azure", kAzureRegions, kAzureDisks},
                                                    {"openTelekomCloud", kOtcRegions, kOtcDisks}});
constexpr auto kFlavors = std::to_array<std::string_view>(
    {"cce.s1.small", "cce.s1.medium", "cce.s2.small", "cce.s2.medium", "cce.s2.large", "cce.s2.xlarge"});

const CloudWords* words_of(std::string_view cloud) {
  const auto it =
      std::find_if(kClouds.begin(), kClouds.end(), [&](const CloudWords& w) { return w.cloud == cloud; });
  return it == kClouds.end() ? nullptr : &*it;
}

// Part of `amount` by steps: of the first `upto` one share, of the next another.
struct Step {
  double upto, share;
};
double stepped(double amount, std::span<const Step> steps) {
  double sum = 0, below = 0;
  for (const Step& s : steps) {
    if (amount > below) sum += (std::min(amount, s.upto) - below) * s.share;
    below = s.upto;
  }
  return sum;
}

}  // namespace

MachineType machine_type(std::string_view cloud, std::string_view type) {
  for (const Single& s : kSingles) {
    if (s.cloud == cloud && s.type == type) return {TypeName::known, {s.cpu, s.gib * kGi, s.gpus}};
  }
  const auto p = parts(cloud, type);
  if (!p) return {};
  if (cloud == "openTelekomCloud") {
    const bool general = std::find(kOtcFamilies.begin(), kOtcFamilies.end(), p->family) != kOtcFamilies.end();
    const int ratio = whole(type.substr(type.rfind('.') + 1)).value_or(0);
    if (!general || !one_of(kOtc, p->size)) return {TypeName::plausible, {}};
    return {TypeName::known, {static_cast<double>(p->cpu), p->cpu * ratio * kGi, 0}};
  }
  for (const Family& f : kFamilies) {
    if (f.cloud != cloud || f.name != p->family) continue;
    if (!one_of(f.sizes, p->size)) return {};  // the family is known and has no such size
    return {TypeName::known, {static_cast<double>(p->cpu), p->cpu * f.gib_per_cpu * kGi, 0}};
  }
  return {TypeName::plausible, {}};
}

std::vector<std::string> machine_types(std::string_view cloud) {
  std::vector<std::string> out;
  for (const Family& f : kFamilies) {
    if (f.cloud != cloud) continue;
    for (std::string_view rest = f.sizes.substr(1); !rest.empty();) {
      const std::string_view size = rest.substr(0, rest.find('|'));
      rest.remove_prefix(size.size() + 1);
      if (cloud == "google") {
        out.push_back(fmt::format("{}-{}", f.name, size));
      } else if (cloud == "azure") {
        out.push_back(fmt::format("Standard_{}{}{}", f.name.substr(0, 1), size, f.name.substr(1)));
      } else {
        out.push_back(fmt::format("{}.{}", f.name, size));
      }
    }
  }
  if (cloud == "openTelekomCloud") {
    for (const char* size : {"large", "xlarge", "2xlarge", "4xlarge"}) {
      for (const int ratio : {1, 2, 4, 8}) out.push_back(fmt::format("s2.{}.{}", size, ratio));
    }
  }
  for (const Single& s : kSingles) {
    if (s.cloud == cloud) out.emplace_back(s.type);
  }
  return out;
}

bool takes_hyperdisks(std::string_view type) {
  static constexpr auto kTaking = std::to_array<std::string_view>(
      {"a3", "a4", "c3", "c3d", "c4", "c4a", "c4d", "g4", "h3", "h4d", "m3", "m4", "n4", "n4d", "x4", "z3"});
  return std::find(kTaking.begin(), kTaking.end(), type.substr(0, type.find('-'))) != kTaking.end();
}

std::span<const std::string_view> regions(std::string_view cloud) {
  const CloudWords* w = words_of(cloud);
  return w == nullptr ? std::span<const std::string_view>() : w->regions;
}

std::span<const std::string_view> disk_types(std::string_view cloud) {
  const CloudWords* w = words_of(cloud);
  return w == nullptr ? std::span<const std::string_view>() : w->disks;
}

std::span<const std::string_view> control_plane_flavors() { return kFlavors; }

std::vector<std::string> zones(std::string_view cloud, std::string_view region) {
  std::vector<std::string> out;
  if (cloud == "aws") {
    for (const char letter : {'a', 'b', 'c', 'd', 'e', 'f'})
      out.push_back(fmt::format("{}{}", region, letter));
  } else if (cloud == "google") {
    for (const char letter : {'a', 'b', 'c', 'd', 'f'}) out.push_back(fmt::format("{}-{}", region, letter));
  } else if (cloud == "azure") {
    out = {"1", "2", "3"};
  } else if (cloud == "openTelekomCloud") {
    if (region == "eu-ch2") return {"eu-ch2a", "eu-ch2b"};
    for (int i = 1; i <= 3; ++i) out.push_back(fmt::format("{}-0{}", region, i));
  }
  return out;
}

double visible_memory(double memory) { return std::max(0.0, memory * 0.984 - 110 * kMi); }

Machine allocatable(const Machine& machine) {
  static constexpr std::array<Step, 5> kMemory{
      {{4 * kGi, 0.25}, {8 * kGi, 0.20}, {16 * kGi, 0.10}, {128 * kGi, 0.06}, {1e18, 0.02}}};
  static constexpr std::array<Step, 4> kCpu{{{1, 0.06}, {2, 0.01}, {4, 0.005}, {1e9, 0.0025}}};
  Machine out = machine;
  out.cpu -= stepped(machine.cpu, kCpu);
  out.memory = std::max(0.0, machine.memory - stepped(machine.memory, kMemory) - 100 * kMi);
  return out;
}

}  // namespace tg::catalog
