// Groups of pods that many parts name in their edges.
#include "render/component/components.hpp"

namespace tg::render {

Peer prometheus_peer() { return Peer::pods("monitoring", {{"app.kubernetes.io/name", "prometheus"}}); }

}  // namespace tg::render
