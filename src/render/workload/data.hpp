// The kinds of data services, one function per file: what `data` renders for one entry.
#pragma once

#include <string>

#include "render/workload/workloads.hpp"

namespace tg::render {

inline constexpr const char* kDataNamespace = "data";

// Empty workload part of a data service, in its namespace.
Part data_part(const std::string& name);
// Requests and limits: those of the catalog row, with what the user wrote over them.
Resources data_size(const Context&, const spec::Reader&, std::string_view workload);
// The class that the user named, else the platform's default; may be empty.
std::string data_class(const Context&, const spec::Reader&);
// Whether Prometheus is there to measure it.
bool measured(const Context&);
// PodMonitor for the pods with `labels`.
Json pod_monitor(const std::string& name, const std::string& ns, const Labels& labels,
                 const std::string& port);
// Alerts of data services go to who looks after data.
Labels data_labels(const std::string& service);

Part postgresql_single(const Context&, const std::string& name, const spec::Reader&);
Part postgresql_cluster(const Context&, const std::string& name, const spec::Reader&, bool timescale);
Part aurora(const Context&, const std::string& name, const spec::Reader&);
Part valkey(const Context&, const std::string& name, const spec::Reader&);
Part kafka(const Context&, const std::string& name, const spec::Reader&);

}  // namespace tg::render
