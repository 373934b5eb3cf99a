// Machines, regions and zones of the clouds, and what Kubernetes leaves of a machine for pods. Constant data,
// any thread. From the clouds' public lists of November 2026; a type that is not here may exist.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tg::catalog {

// Names of the clouds are those of the document: "aws", "google", "azure", "openTelekomCloud".

struct Machine {
  double cpu = 0;     // cores
  double memory = 0;  // bytes
  int gpus = 0;
};

enum class TypeName { known, plausible, foreign };
// known: `machine` is filled. plausible: written as this cloud writes its types. foreign: it is not.
struct MachineType {
  TypeName name = TypeName::foreign;
  Machine machine;
};
MachineType machine_type(std::string_view cloud, std::string_view type);
// Types of the cloud as a person could have meant them, for hints.
std::vector<std::string> machine_types(std::string_view cloud);

// Whether a machine of Google is of the families that take hyperdisks, and no disks of the oldest kind.
bool takes_hyperdisks(std::string_view type);

// Names of a cloud's regions; empty if the cloud is none of the four.
std::span<const std::string_view> regions(std::string_view cloud);
// Zones of a region in the cloud's words: "us-east-1a", "europe-west1-b", "1", "eu-de-01".
std::vector<std::string> zones(std::string_view cloud, std::string_view region);

// Types of disks that a volume or a node can have; empty if the cloud is none of the four.
std::span<const std::string_view> disk_types(std::string_view cloud);
// Sizes of a managed control plane of openTelekomCloud.
std::span<const std::string_view> control_plane_flavors();

// What is left for pods of a machine of a cloud: a share for kubelet and system that falls with the size, as
// Google and Azure publish it and AWS and Open Telekom Cloud come close to, and 100Mi below which pods are
// evicted.
Machine allocatable(const Machine& machine);
// Memory that Linux shows of a machine's: the kernel's own share is 110 MiB and 1.6 % of it.
double visible_memory(double memory);

}  // namespace tg::catalog
