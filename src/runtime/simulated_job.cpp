#include "runtime/simulated_job.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/log.hpp"
#include "runtime/simulated_answer.hpp"

namespace tg::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDimensions = 4096;

std::string json_text(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

bool refuse(SimulatedRefusal& refusal, std::string message, std::string code = "invalid_value",
            int status = 400) {
  refusal = {status, std::move(code), std::move(message)};
  return false;
}

// A member that is absent or null.
bool lacks(const Json& object, const char* name) { return !object.contains(name) || object[name].is_null(); }

std::string text_of(const Json& message) {
  if (lacks(message, "content")) return {};
  const Json& content = message["content"];
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  if (content.is_array()) {
    for (const Json& part : content) {
      if (part.is_object() && part.contains("text") && part["text"].is_string())
        text += part["text"].get<std::string>();
    }
  }
  return text;
}

bool chat_prompt(const Json& request, std::string& prompt, SimulatedRefusal& refusal) {
  if (!request.contains("messages") || !request["messages"].is_array() || request["messages"].empty()) {
    return refuse(refusal, "'messages' must be a list with at least one message");
  }
  for (const Json& message : request["messages"]) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return refuse(refusal, "each message must be an object with a 'role'");
    }
    prompt += message["role"].get<std::string>() + "\n" + text_of(message) + "\n";
  }
  return true;
}

bool strings_of(const Json& request, const char* name, std::vector<std::string>& out,
                SimulatedRefusal& refusal) {
  if (request.contains(name) && request[name].is_string()) {
    out.push_back(request[name].get<std::string>());
    return true;
  }
  if (request.contains(name) && request[name].is_array() && !request[name].empty()) {
    for (const Json& item : request[name]) {
      if (!item.is_string())
        return refuse(refusal, fmt::format("'{}' must be a string or a list of strings", name));
      out.push_back(item.get<std::string>());
    }
    return true;
  }
  return refuse(refusal, fmt::format("'{}' must be a string or a list of strings", name));
}

bool read_limit(const Json& request, std::int64_t& limit, SimulatedRefusal& refusal) {
  for (const char* name : {"max_completion_tokens", "max_tokens"}) {
    if (lacks(request, name)) continue;
    const Json& value = request[name];
    if (!value.is_number_integer() || value.get<std::int64_t>() < 1) {
      return refuse(refusal, fmt::format("'{}' must be an integer above 0", name));
    }
    limit = value.get<std::int64_t>();
    return true;
  }
  return true;
}

bool flag(const Json& request, const char* name) {
  return request.contains(name) && request[name] == Json(true);
}

std::string usage_text(std::int64_t prompt, std::int64_t completion) {
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})", prompt, completion,
                     prompt + completion);
}

// ---- Tools ----

struct ToolCall {
  std::string name, arguments, id;
};

std::string argument_value(const Json& schema, std::uint64_t hash) {
  if (!schema.is_object()) return "null";
  if (schema.contains("enum") && schema["enum"].is_array() && !schema["enum"].empty()) {
    return schema["enum"][hash % schema["enum"].size()].dump();
  }
  const std::string type =
      schema.contains("type") && schema["type"].is_string() ? schema["type"].get<std::string>() : "";
  if (type == "string") return fmt::format("\"tide {:04x}\"", hash & 0xffff);
  if (type == "integer") return fmt::to_string(hash % 100);
  if (type == "number") return fmt::format("{}.5", hash % 100);
  if (type == "boolean") return (hash & 1) != 0 ? "true" : "false";
  if (type == "array") return "[]";
  if (type == "object") return "{}";
  return "null";
}

bool read_tool(const Json& request, std::uint64_t hash, ToolCall& call, bool& wanted,
               SimulatedRefusal& refusal) {
  wanted = false;
  if (lacks(request, "tools")) return true;
  const Json& tools = request["tools"];
  if (!tools.is_array()) return refuse(refusal, "'tools' must be a list");
  if (tools.empty()) return true;
  const Json choice = request.contains("tool_choice") ? request["tool_choice"] : Json();
  if (choice == Json("none") || request["messages"].back()["role"] == Json("tool")) return true;
  const Json* function = nullptr;
  const auto function_of = [](const Json& tool) -> const Json* {
    if (!tool.is_object() || !tool.contains("function") || !tool["function"].is_object()) return nullptr;
    const Json& f = tool["function"];
    return f.contains("name") && f["name"].is_string() ? &f : nullptr;
  };
  if (const Json* named = function_of(choice)) {
    for (const Json& tool : tools) {
      const Json* f = function_of(tool);
      if (f != nullptr && (*f)["name"] == (*named)["name"]) function = f;
    }
    if (function == nullptr)
      return refuse(refusal, "'tool_choice' names a function that 'tools' does not have");
  } else {
    function = function_of(tools[hash % tools.size()]);
    if (function == nullptr) return refuse(refusal, "each tool must have a 'function' with a 'name'");
  }
  wanted = true;
  call.name = (*function)["name"].get<std::string>();
  call.id = fmt::format("call_{:016x}", hash);
  call.arguments = "{";
  const Json parameters = function->contains("parameters") ? (*function)["parameters"] : Json();
  if (parameters.is_object() && parameters.contains("required") && parameters["required"].is_array()) {
    for (const Json& name : parameters["required"]) {
      if (!name.is_string()) continue;
      const std::string key = name.get<std::string>();
      const bool known = parameters.contains("properties") && parameters["properties"].is_object() &&
                         parameters["properties"].contains(key);
      if (call.arguments.size() > 1) call.arguments += ',';
      call.arguments +=
          json_text(key) + ":" + argument_value(known ? parameters["properties"][key] : Json(), hash);
    }
  }
  call.arguments += "}";
  return true;
}

// ---- Embeddings ----

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kLetters[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

bool read_embedding(const Json& request, const std::string& model, SimulatedJob& job,
                    SimulatedRefusal& refusal) {
  std::vector<std::string> inputs;
  if (!strings_of(request, "input", inputs, refusal)) return false;
  std::size_t dimensions = 32;
  if (!lacks(request, "dimensions")) {
    const Json& value = request["dimensions"];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 ||
        value.get<std::uint64_t>() > kMaxDimensions) {
      return refuse(refusal, fmt::format("'dimensions' must be 1 to {}", kMaxDimensions));
    }
    dimensions = value.get<std::size_t>();
  }
  const bool packed = request.contains("encoding_format") && request["encoding_format"] == Json("base64");
  job.body = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    job.prompt_tokens += simulated_tokens(inputs[i]);
    const auto values = simulated_embedding(inputs[i], dimensions);
    std::string vector;
    if (packed) {
      std::string bytes;
      for (const double v : values) {
        const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(v));
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xff);
      }
      vector = "\"" + base64(bytes) + "\"";
    } else {
      vector = fmt::format("[{}]", fmt::join(values, ","));
    }
    job.body +=
        fmt::format(R"({}{{"object":"embedding","index":{},"embedding":{}}})", i == 0 ? "" : ",", i, vector);
  }
  job.body += fmt::format(R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                          json_text(model), job.prompt_tokens, job.prompt_tokens);
  return true;
}

// ---- Text ----

// The parts that chunks and whole answers share.
struct Writer {
  std::string id, object, model;

  std::string head(std::string_view suffix) const {
    return fmt::format(R"({{"id":"{}","object":"{}{}","created":0,"model":{},"choices":[)", id, object,
                       suffix, json_text(model));
  }
};

void write_chat(const Writer& w, const SimulatedJob& job, const ToolCall* call, std::string_view finish,
                std::string_view usage, SimulatedJob& out) {
  const std::string head = w.head(".chunk");
  const auto event = [&head](std::string_view delta, std::string_view reason) {
    return fmt::format(R"({}{{"index":0,"delta":{},"logprobs":null,"finish_reason":{}}}]}})", head, delta,
                       reason);
  };
  out.opening.push_back(event(
      call != nullptr ? R"({"role":"assistant","content":null})" : R"({"role":"assistant","content":""})",
      "null"));
  if (call != nullptr) {
    out.opening.push_back(event(
        fmt::format(
            R"({{"tool_calls":[{{"index":0,"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]}})",
            call->id, json_text(call->name)),
        "null"));
    out.before = head + R"({"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":)";
    out.after = R"(}}]},"logprobs":null,"finish_reason":null}]})";
  } else {
    out.before = head + R"({"index":0,"delta":{"content":)";
    out.after = R"(},"logprobs":null,"finish_reason":null}]})";
  }
  out.closing.push_back(event("{}", fmt::format("\"{}\"", finish)));
  std::string text;
  for (const std::string& token : job.tokens) text += token;
  const std::string message =
      call != nullptr
          ? fmt::format(
                R"({{"role":"assistant","content":null,"tool_calls":[{{"id":"{}","type":"function","function":{{"name":{},"arguments":{}}}}}]}})",
                call->id, json_text(call->name), json_text(call->arguments))
          : fmt::format(R"({{"role":"assistant","content":{}}})", json_text(text));
  out.body = fmt::format(R"({}{{"index":0,"message":{},"logprobs":null,"finish_reason":"{}"}}],"usage":{}}})",
                         w.head(""), message, finish, usage);
}

void write_completion(const Writer& w, const SimulatedJob& job, std::string_view finish,
                      std::string_view usage, SimulatedJob& out) {
  out.before = w.head("") + R"({"index":0,"text":)";
  out.after = R"(,"logprobs":null,"finish_reason":null}]})";
  out.closing.push_back(fmt::format(R"({}{{"index":0,"text":"","logprobs":null,"finish_reason":"{}"}}]}})",
                                    w.head(""), finish));
  std::string text;
  for (const std::string& token : job.tokens) text += token;
  out.body = fmt::format(R"({}{{"index":0,"text":{},"logprobs":null,"finish_reason":"{}"}}],"usage":{}}})",
                         w.head(""), json_text(text), finish, usage);
}

}  // namespace

std::string simulated_error(int status, std::string_view code, std::string_view message) {
  const std::string_view type = status == 401   ? "authentication_error"
                                : status >= 500 ? "server_error"
                                                : "invalid_request_error";
  return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":null,"code":"{}"}}}})",
                     json_text(message), type, code);
}

bool read_simulated_job(SimulatedKind kind, std::string_view body, std::int64_t context, SimulatedJob& job,
                        SimulatedRefusal& refusal) {
  const Json request = Json::parse(body, nullptr, false);
  if (!request.is_object()) return refuse(refusal, "the body is not a JSON object", "invalid_json");
  if (!request.contains("model") || !request["model"].is_string())
    return refuse(refusal, "'model' must be a string");
  const std::string model = request["model"].get<std::string>();
  job.kind = kind;
  if (kind == SimulatedKind::embedding) return read_embedding(request, model, job, refusal);

  if (!lacks(request, "n") && request["n"] != Json(1))
    return refuse(refusal, "'n' other than 1 is not supported");
  job.stream = flag(request, "stream");
  const bool with_usage = job.stream && request.contains("stream_options") &&
                          request["stream_options"].is_object() &&
                          flag(request["stream_options"], "include_usage");
  std::int64_t limit = -1;
  if (!read_limit(request, limit, refusal)) return false;
  std::string prompt;
  if (kind == SimulatedKind::chat) {
    if (!chat_prompt(request, prompt, refusal)) return false;
  } else {
    std::vector<std::string> prompts;
    if (!strings_of(request, "prompt", prompts, refusal)) return false;
    prompt = fmt::format("{}", fmt::join(prompts, "\n"));
  }
  job.prompt_tokens = simulated_tokens(prompt);
  if (job.prompt_tokens >= context) {
    return refuse(refusal,
                  fmt::format("the prompt has {} tokens, the context {}", job.prompt_tokens, context),
                  "context_length_exceeded");
  }
  const std::uint64_t hash = simulated_hash(prompt);
  ToolCall call;
  bool calls = false;
  if (kind == SimulatedKind::chat && !read_tool(request, hash, call, calls, refusal)) return false;

  std::string_view finish = "stop";
  if (calls) {
    finish = "tool_calls";
    for (const std::string_view token : split_tokens(call.arguments)) job.tokens.emplace_back(token);
  } else {
    const SimulatedText text =
        simulated_text(prompt, limit, flag(request, "ignore_eos"), context - job.prompt_tokens);
    if (text.cut) finish = "length";
    job.tokens.assign(text.tokens.begin(), text.tokens.end());
  }
  const std::string usage = usage_text(job.prompt_tokens, static_cast<std::int64_t>(job.tokens.size()));
  const Writer writer{fmt::format("{}-{:016x}", kind == SimulatedKind::chat ? "chatcmpl" : "cmpl", hash),
                      kind == SimulatedKind::chat ? "chat.completion" : "text_completion", model};
  if (kind == SimulatedKind::chat) {
    write_chat(writer, job, calls ? &call : nullptr, finish, usage, job);
  } else {
    write_completion(writer, job, finish, usage, job);
  }
  if (with_usage) {
    const std::string_view suffix = kind == SimulatedKind::chat ? ".chunk" : "";
    job.closing.push_back(fmt::format(R"({}],"usage":{}}})", writer.head(suffix), usage));
  }
  return true;
}

}  // namespace tg::runtime
