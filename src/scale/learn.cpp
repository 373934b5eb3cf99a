#include "scale/learn.hpp"

#include <algorithm>
#include <cmath>

namespace tg::scale {

namespace {
constexpr Nanos kPriorColdStart = 60 * kSecond;
constexpr EngineSpeed kPrior{};
double seconds(std::int64_t ns) { return static_cast<double>(ns) / static_cast<double>(kSecond); }
}  // namespace

void Durations::add(Nanos duration) {
  if (values_.size() == kKeep) values_.erase(values_.begin());
  values_.push_back(std::max<Nanos>(0, duration));
}

Nanos Durations::quantile(double q, Nanos none) const {
  if (values_.empty()) return none;
  auto sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

void Durations::assign(std::vector<Nanos> values) {
  if (values.size() > kKeep) values.erase(values.begin(), values.end() - static_cast<std::ptrdiff_t>(kKeep));
  values_ = std::move(values);
  for (auto& v : values_) v = std::max<Nanos>(0, v);
}

void ColdStarts::seen(Nanos fetch_time, bool fetched, Nanos load_time, std::int64_t waiting) {
  if (fetched) fetch.add(fetch_time);
  load.add(load_time);
  const double n = static_cast<double>(waiting);
  waiting_mean = starts == 0 ? n : 0.8 * waiting_mean + 0.2 * n;
  ++starts;
}

Nanos ColdStarts::expected(double q, bool fetch_needed) const {
  if (load.count() == 0) return kPriorColdStart;
  return load.quantile(q, 0) + (fetch_needed ? fetch.quantile(q, kPriorColdStart) : 0);
}

void Learner::observe(const Seen& s) {
  if (s.reported_prompt_tokens > 0 && s.prompt_code_points > 0) {
    code_points += static_cast<double>(s.prompt_code_points);
    tokens += static_cast<double>(s.reported_prompt_tokens);
    if (tokens > 1e6) {
      code_points /= 2;
      tokens /= 2;
    }
  }
  if (s.arrivals > 0 && s.prompt_tokens >= 0) {
    const double k = static_cast<double>(s.arrivals);
    const double keep = std::pow(0.99, k);
    prompt_mean = keep * prompt_mean + (1 - keep) * static_cast<double>(s.prompt_tokens) / k;
  }
  if (s.finished > 0 && s.output_tokens >= 0) {
    const double k = static_cast<double>(s.finished);
    const double mean = static_cast<double>(s.output_tokens) / k;
    // Until 100 requests were seen the plain mean learns faster than the decay; the prior counts as one
    // request.
    const double rate = std::max(0.01, 1 / (requests + 2));
    const double keep = std::pow(1 - rate, k);
    const double off = mean - output_mean;
    output_var = keep * output_var + (1 - keep) * std::min(k * off * off, 1e12);
    output_mean = keep * output_mean + (1 - keep) * mean;
    requests = std::min(1e9, requests + k);
  }
  slots = std::max(1, s.slots);
  const double concurrency = s.ready > 0 ? std::max(1.0, static_cast<double>(s.in_flight) / s.ready) : 1;
  if (s.decode_tokens > 0 && s.decode_ns > 0) {
    const double n = std::min(static_cast<double>(s.decode_tokens), 500.0);
    const double seen_y = seconds(s.decode_ns) / static_cast<double>(s.decode_tokens);
    // Between two tokens the engine also works on prompts of others: that share of the time is not decoding.
    const double prompts = static_cast<double>(s.finished) * prompt_mean;
    const double share =
        s.elapsed > 0 && s.ready > 0 ? std::min(0.8, beta() * prompts / (s.elapsed * s.ready)) : 0;
    prefill_share = 0.95 * prefill_share + 0.05 * share;
    const double y = seen_y * (1 - prefill_share);
    const double keep = std::exp(-n / 100000);
    w = keep * w + n;
    wc = keep * wc + n * concurrency;
    wcc = keep * wcc + n * concurrency * concurrency;
    wy = keep * wy + n * y;
    wcy = keep * wcy + n * concurrency * y;
    const double soon = std::exp(-n / 2000);
    decode_seconds = soon * decode_seconds + n * seen_y;
    decoded = soon * decoded + n;
  }
  if (s.first_tokens > 0 && s.first_token_ns > 0) {
    const double first = seconds(s.first_token_ns) / static_cast<double>(s.first_tokens);
    const double prompt =
        s.reported_prompt_tokens > 0 && s.finished > 0
            ? static_cast<double>(s.reported_prompt_tokens) / static_cast<double>(s.finished)
            : prompt_mean;
    const double sample = std::max(1e-7, (first - 2 * engine().alpha) / std::max(1.0, prompt));
    if (prompt >= 16) {
      if (prompt_samples == 0) {
        per_prompt_token = std::sqrt(sample * beta());
      } else {
        per_prompt_token *= std::exp(sample < per_prompt_token ? -0.075 : 0.025);
      }
      prompt_samples = std::min(1e9, prompt_samples + 1);
    }
  }
  // A replica shows its real speed only while it has all it can take: all slots busy and somebody waits, for
  // so long that the requests that end now began in that state.
  const bool saturated =
      s.ready > 0 && s.held > 0 && s.in_flight >= static_cast<std::int64_t>(s.ready) * s.slots;
  saturated_for = saturated ? saturated_for + s.elapsed : 0;
  if (saturated && saturated_for > std::max(10.0, 2 * output_mean / decode_rate()) && s.elapsed > 0) {
    Spec spec;
    spec.slots = s.slots;
    Learned l;
    l.engine = engine();
    l.output = s.finished > 0 ? static_cast<double>(s.output_tokens) / static_cast<double>(s.finished) : 0;
    const double prompt = s.reported_prompt_tokens > 0 ? static_cast<double>(s.reported_prompt_tokens)
                                                       : static_cast<double>(s.finished) * prompt_mean;
    const double done = work_of(static_cast<double>(s.finished), prompt, spec, l);
    const double replica_seconds = s.elapsed * s.ready;
    const double keep = std::exp(-replica_seconds / 1200);
    rho_work = keep * rho_work + done;
    rho_seconds = keep * rho_seconds + replica_seconds;
  }
}

double Learner::code_points_per_token() const {
  return std::clamp(code_points / std::max(1.0, tokens), 0.5, 16.0);
}

std::int64_t Learner::output_p90() const {
  const double m = std::max(1.0, output_mean);
  const double log_var = std::log1p(std::max(0.0, output_var) / (m * m));
  const double p90 = std::exp(std::log(m) - log_var / 2 + 1.2816 * std::sqrt(log_var));
  return static_cast<std::int64_t>(std::clamp(std::ceil(p90), 1.0, 1e9));
}

double Learner::decode_rate() const {
  if (decoded < 1 || decode_seconds <= 0) return 1 / (kPrior.alpha + kPrior.gamma);
  return std::clamp(decoded / decode_seconds, 0.01, 1e6);
}

double Learner::beta() const {
  // Engines read a prompt 10 to 90 times as fast as they write: prior 60 times, from the token time as soon
  // as one was seen.
  if (prompt_samples == 0) return w < 1 ? kPrior.beta : std::clamp(wy / w / 60, 1e-6, 10.0);
  return std::clamp(per_prompt_token, 1e-6, 10.0);
}

EngineSpeed Learner::engine() const {
  if (w < 1) return {kPrior.alpha, beta(), kPrior.gamma};
  // Prior: a full batch makes a token 30 % slower. Strong, for gamma is used far from what was seen (at a
  // full batch) and concurrency goes with prompts that are worked on at the same time; its weight is that of
  // the whole memory at a spread of an eighth of the slots. alpha needs none, for y itself was measured.
  const double mean_y = wy / w;
  const double g0 = 0.3 * mean_y / slots;
  const double pg = 100000 * slots * slots / 64;
  // minimise Σ w (y − a − g c)² + pg (g − g0)²: two linear equations.
  const double det = w * (wcc + pg) - wc * wc;
  double a = mean_y, g = g0;
  if (det > 1e-12) {
    a = (wy * (wcc + pg) - wc * (wcy + pg * g0)) / det;
    g = (w * (wcy + pg * g0) - wc * wy) / det;
  }
  if (g < 0) {
    g = 0;
    a = mean_y;
  }
  if (a < 0.1 * mean_y) {  // concurrency cannot explain a token alone: there is always a base
    a = 0.1 * mean_y;
    g = std::max(0.0, (mean_y - a) * w / std::max(wc, 1e-9));
  }
  EngineSpeed e;
  e.alpha = std::clamp(a, 1e-5, 100.0);
  e.gamma = std::clamp(g, 0.0, 100.0);
  e.beta = beta();
  return e;
}

double Learner::rho() const { return 0.9 * std::clamp(rho_work / std::max(1e-9, rho_seconds), 0.3, 3.0); }

Learned Learner::figures(bool fetch_needed) const {
  Learned l;
  l.cold_start = cold.expected(0.9, fetch_needed);
  l.waiting_per_start = cold.waiting_mean;
  l.rho = rho();
  l.output = output_mean;
  l.prompt = prompt_mean;
  l.engine = engine();
  return l;
}

void Learner::forget_engine() {
  Learner fresh;
  fresh.code_points = code_points;
  fresh.tokens = tokens;
  fresh.output_mean = output_mean;
  fresh.output_var = output_var;
  fresh.prompt_mean = prompt_mean;
  fresh.requests = requests;
  *this = fresh;
}

}  // namespace tg::scale
