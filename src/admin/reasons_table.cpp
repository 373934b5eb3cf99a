// The table itself: code, meaning, remedy, in order of the code.
#include "admin/reasons.hpp"

namespace tg::admin {

namespace {

constexpr ReasonEntry kReasons[] = {
    {"above_bound", "A number is above the greatest that another field of the document allows.",
     "Lower it, or raise the field that the message names."},
    {"above_provider",
     "A volume is to do more than the cloud gives: its disks have a greatest number of operations, and bytes "
     "a second that grow with it.",
     "Lower the value to what the message names."},
    {"address_in_use",
     "Another program listens on the address that tidegate was told to use. Each address is bound once "
     "without sharing "
     "first, so that two programs never split the requests of one port between them.",
     "Stop the program that is named, or choose another address with --listen or --console."},
    {"address_outside",
     "An address, or the network of a subnet, is not in the network that holds it, so no packet would reach "
     "it.",
     "Choose an address inside the network, or correct the network."},
    {"address_overlap",
     "Two networks of the platform hold the same addresses: hosts, virtual networks, pods, services, the far "
     "side of a VPN, peers. A packet for them has two ways, and one of them is wrong.",
     "Choose a range that nothing else uses."},
    {"address_taken", "Two hosts, or a host and the virtual address, have the same address.",
     "Give each its own address."},
    {"alias_bomb",
     "The aliases of a YAML file unfold to more values than a file may hold. Such files exist to exhaust the "
     "memory of "
     "their reader.",
     "Write the values out."},
    {"at_zero",
     "The Model has no replica and no request waits for one. That is the normal state of an idle Model with "
     "replicas.min 0: its memory is free for others. The next admitted request starts a replica and is held "
     "until it "
     "is ready.",
     "Nothing. To keep a replica at all times set spec.replicas.min to 1."},
    {"autoscalers_fight",
     "The number of replicas follows the share of a request that is used, while the request itself is "
     "changed by what is used. Each reacts to the other, and neither comes to rest.",
     "Let vertical only recommend, or let replicas follow requests, Kafka or Redis."},
    {"backend_not_ready",
     "No backend of the Route can take a request: its Providers lack their credential or are not usable, and "
     "it has no "
     "Model that could be started.",
     "Run `tidegate status`: it names each Provider that is not ready and why."},
    {"backup_beside",
     "The copies are kept where the platform is: in its region, in its cluster or on one of its hosts. What "
     "destroys the platform destroys them too.",
     "Keep them in another region, or in a store outside."},
    {"bad_address", "The text is not an address with a port.",
     "Write ADDR:PORT, for example 127.0.0.1:4000 or [::1]:4000."},
    {"bad_count", "The text is not a count. Counts are whole numbers, with k or M for thousands or millions.",
     "Write for example 600, 4k or 1M."},
    {"bad_duration",
     "The text is not a duration. A duration is one or more numbers with the units ms, s, m, h, d in falling "
     "order.",
     "Write for example 250ms, 30s or 1m30s."},
    {"bad_field",
     "A field of the request body that tidegate acts on has the wrong type, for example stream that is not "
     "true or "
     "false. The request went nowhere.",
     "Correct the field; the message names it."},
    {"bad_flag", "A flag has a value that it cannot have, or stands there twice.",
     "Run the word with --help: it lists the values."},
    {"bad_key",
     "The key of a YAML map is not a text, or a name of one's own, such as that of a pool or a host, has "
     "letters that "
     "such names do not have.",
     "Put the key in quotes, correct the indentation, or rename the thing as the hint shows."},
    {"bad_outputs", "A file is not what tofu output -json prints.",
     "Write it with tofu -chdir=infrastructure/terraform output -json."},
    {"bad_path", "A path leads to a place that nothing keeps.",
     "Write a path below the one that the hint names."},
    {"bad_percent", "The text is not a percentage.", "Write for example 20%."},
    {"bad_quantity",
     "The text is not an amount of bytes. Amounts are numbers with k, M, G, T (powers of 1000) or Ki, Mi, "
     "Gi, Ti "
     "(powers of 1024).",
     "Write for example 4Gi or 500M."},
    {"bad_request",
     "The bytes are not a request that tidegate takes: broken HTTP framing, or a body of the admin API that "
     "is not the "
     "JSON it wants. Framing that two programs could read differently is refused and the connection closed, "
     "because "
     "that is how requests are smuggled.",
     "Correct the client; the message names the rule that was broken."},
    {"bad_source", "The source of a Model's weights is not one of the forms there are.",
     "Write file:///PATH, hf://OWNER/REPO/FILE.gguf, https://HOST/PATH with sha256, or ollama://NAME."},
    {"bad_url", "The text is not an http or https URL.", "Write for example http://127.0.0.1:8000/v1."},
    {"bad_value",
     "A value of a document has the right type and still cannot be used, for example a name with characters "
     "that names "
     "do not have.",
     "Write what the hint shows; `tidegate explain FIELD` has the rule."},
    {"body_too_large",
     "The request body is larger than the limit of 4 MiB. A body whose Content-Length says so is refused "
     "before it is "
     "read.",
     "Send less, for example fewer or smaller images."},
    {"bundle_too_large", "Fleet keeps a bundle as one object of the API server, which takes no larger ones.",
     "Deliver with argo-cd, which reads the repository, or leave gitops out."},
    {"bundle_twice",
     "Two parts of the platform would be delivered under one name, and one would hide the other.",
     "Rename one of them."},
    {"cannot_create", "A file or directory cannot be made. The message has the system's reason.",
     "Check who owns the directory above and whether its disk has room, or name another place with --data."},
    {"cannot_listen",
     "The address cannot be listened on. The message has the system's reason, most often a port below 1024 "
     "without the "
     "right, or an address that this machine does not have.",
     "Choose another address with --listen or --console."},
    {"cannot_read",
     "A file, directory or stream cannot be read. The message names it with the system's reason.",
     "Check the path and who may read it."},
    {"cannot_render", "The program that was chosen cannot do what the field asks for.",
     "Choose the program that the hint names, or leave the field out."},
    {"cannot_scale_to_zero",
     "Without a replica there is nothing whose processor, memory or requests could be measured, so nothing "
     "would ever start one.",
     "Keep one replica, or scale by Kafka, Redis or hours."},
    {"cannot_start",
     "The process of a replica could not be started. The message has the system's reason, for example no "
     "memory or too "
     "many processes.",
     "Free the resource that is named; the start is tried again after a pause that grows."},
    {"cannot_sync",
     "The journal could not be written through to the disk. What was stored survives a crash of tidegate, "
     "but perhaps "
     "not a power loss.",
     "Check the disk: dmesg often says more."},
    {"cannot_trim",
     "A finished journal segment could not be cut to its used length. Nothing is lost, but the file takes "
     "more room "
     "than it needs.",
     "Check the disk and who owns the journal directory."},
    {"cannot_write",
     "A file or stream cannot be written. The message names it with the system's reason; a full disk is the "
     "most "
     "frequent one.",
     "Make room or choose another place."},
    {"client_gone",
     "The client closed its connection before the answer was complete. The upstream request was ended at "
     "once, and "
     "what was used until then is in the ledger, estimated where the upstream had not reported it.",
     "Nothing, or a longer timeout in the client."},
    {"cluster_only",
     "The field says how something runs in a rendered platform. `tidegate up` checks it and does nothing "
     "with it.",
     "Nothing, where one document is for both; else remove it."},
    {"cold_start",
     "Nothing keeps the weights between replicas, so the first request after a pause waits until the model "
     "is pulled again.",
     "Keep one replica, or give the Model a volume for its weights."},
    {"component_retired", "The part gets no more releases, and holes found since stay open.",
     "Leave the field out, or choose the part that the hint names."},
    {"compressed_request",
     "The request body is compressed. Bodies are scanned as they are, and a compressed one could hide its "
     "true size.",
     "Send the body without Content-Encoding."},
    {"connect_failed",
     "A connection could not be opened. The message has the address and the system's reason.",
     "Check that the other side runs and that its address and port are right."},
    {"control_character", "The file has a control character that YAML forbids.",
     "Remove it; the message has its place."},
    {"control_failed",
     "The running tidegate was reached over DIR/run/control.sock, but the exchange broke off or the answer "
     "was none. "
     "It may just be stopping.",
     "Try again. If it stays so, `tidegate diagnose` gathers what helps to find out why."},
    {"control_timeout",
     "The running tidegate took the request and did not answer in time. Its control thread is busy or stuck; "
     "requests "
     "of clients do not depend on it.",
     "Try again. If it stays so, run `tidegate diagnose`."},
    {"credential_missing",
     "The environment variable or file that holds the Provider's credential is not there or empty. The "
     "Provider is not "
     "ready; everything else serves.",
     "Set it, then send SIGHUP or start tidegate again."},
    {"curl_missing",
     "Downloads need the library libcurl, which is opened at the first download only, and it is not "
     "installed.",
     "Install the package libcurl4 (Debian), or give the weights as a file:// source."},
    {"cycle", "Environments wait for each other in a ring, so none can be the first.",
     "Remove after at the first one."},
    {"data_dir_in_use",
     "Another tidegate has the lock of this data directory. Two writers would destroy the exactness of the "
     "ledger, so "
     "there is one at a time. The message names its process.",
     "Use that one, stop it first, or name another directory with --data."},
    {"data_dir_newer",
     "The file VERSION of the data directory names a format that this program does not know. A newer "
     "tidegate wrote "
     "it.",
     "Use the newer program, or another directory with --data."},
    {"database_failed",
     "The database of keys and usage sums could not be read or written. The message has SQLite's reason.",
     "Check the disk and who owns DIR/tidegate.db. Keys and sums are only changed in whole transactions, so "
     "nothing is "
     "half-written."},
    {"database_version", "The database was made by a newer tidegate.",
     "Use the newer program, or another directory with --data."},
    {"default_class",
     "Claims that name no storage class get the default one. There must be exactly one as soon as a claim "
     "needs it.",
     "Write default: true at one class."},
    {"digest_mismatch",
     "The downloaded weights do not have the SHA-256 that the document or the host states. The file was not "
     "used and "
     "is removed.",
     "Check the digest in the document. If it is right, the host serves another file than it says."},
    {"digest_missing",
     "Weights from an https URL are only taken with a stated digest, for otherwise nobody could tell what "
     "runs here.",
     "Add spec.sha256 to the Model."},
    {"disk_budget",
     "The cache of weights has a budget, tidegate up --cache-limit, and the file does not fit beside those "
     "that are there. It was not fetched.",
     "Remove files from DIR/cache/sha256 that no Model needs, or start with a larger --cache-limit."},
    {"disk_full",
     "The disk has not enough room for the file. This is checked before a byte is fetched where the size is "
     "known.",
     "Make room, or name a data directory on another disk with --data."},
    {"disk_not_for_machine",
     "Volumes with operations of their own are hyperdisks on Google, and older families of machines take "
     "none.",
     "Name machines of c3, c4 or n4, or leave iops at 3000."},
    {"disk_too_small", "All volumes of a small machine together are larger than its disk.",
     "Claim less, or give the host a larger disk."},
    {"documents_invalid",
     "The documents have errors, so nothing was started, or, when they changed while tidegate runs, the ones "
     "from "
     "before go on serving. All errors are listed in one pass.",
     "Run `tidegate check FILE`: it prints each with its place and a hint."},
    {"does_not_fit",
     "The memory that all parts and programs keep for themselves is more than the machine leaves to pods, or "
     "a model is larger than what it may take. Linux would kill what asks last.",
     "Drop what the message names, choose a smaller model or a larger machine."},
    {"duplicate_document",
     "Two documents have the same kind and name. Which one counts would depend on the order of files, so "
     "neither does.",
     "Rename or remove one; the message has both places."},
    {"duplicate_key",
     "The same key stands twice in one JSON object or YAML map. Readers disagree on which one counts, so the "
     "whole is "
     "refused and nothing goes upstream.",
     "Remove one of the two."},
    {"duplicate_name",
     "The same name is given twice: in a list, or as the public name of two Models or Provider entries "
     "without a Route "
     "that decides between them.",
     "Rename one, or write a Route of that name that says where its requests go."},
    {"empty_pool", "No host is in a pool of hosts, so nothing that is placed there would run.",
     "Name the pool at a host, or remove it."},
    {"empty_role", "A role has neither groups nor users.", "Add groups or users, or remove the role."},
    {"empty_rule", "An alert rule has no condition.", "Add cpu, memory, gpu, disk or expr."},
    {"empty_value", "A field that needs a value has none.", "Give it a value or remove it."},
    {"empty_window", "Hours end when they begin.", "Correct the schedule of the end."},
    {"endpoint_elsewhere",
     "The address of the API server that all nodes use does not lead to the load balancer, so the loss of "
     "one control plane would stop the nodes.",
     "Write the name or address of the load balancer, or the virtual address."},
    {"engine_exited",
     "The engine's process ended. If that was during a start, the message has its exit status or signal and "
     "its last "
     "lines. Requests without a relayed byte go to another replica; starts are tried again after a pause "
     "that grows.",
     "Run `tidegate models logs NAME`: the engine says there what it did not like."},
    {"engine_mismatch", "The engine of the Model cannot run weights from that source.",
     "Leave out spec.engine, so that it follows from the source, or name another source."},
    {"engine_missing",
     "The program of the engine was not found, or the document names neither engine nor weights.",
     "Install the engine so that it is on PATH, or name it in spec.command."},
    {"engine_needs_gpu", "The engine runs on GPUs only, and the Model asks for none.",
     "Ask for GPUs, or choose another engine."},
    {"engine_not_there",
     "What runs the Models of this platform does not have the engine, the form of source or the number of "
     "replicas.",
     "Change the Model as the hint says, or let tidegate serve."},
    {"engine_setup",
     "Something that the engine needs before its start could not be prepared, for example its folder or its "
     "port.",
     "The message names it; `tidegate explain model NAME` shows it with the last starts."},
    {"engine_unknown", "This version has no engine of that name.",
     "`tidegate explain Model.spec.engine` lists the engines."},
    {"engine_unreachable",
     "A running server that the Model names does not answer, or stopped answering. It is asked again and "
     "again.",
     "Start the server, or correct its URL in the document."},
    {"engine_url", "The URL of the engine cannot be used.", "Write for example http://127.0.0.1:11434."},
    {"error_event",
     "The upstream answered with status 200 and put an error event into its stream. The stream was relayed "
     "as it came; "
     "the request counts against the provider.",
     "Look at the event's text: it is the upstream's."},
    {"even_control_planes",
     "The store of a cluster works while more than half of its members do. An even number survives no more "
     "losses than one fewer.",
     "Use one, three or five."},
    {"even_members",
     "The controllers of a broker work while more than half of them do. An even number survives no more "
     "losses than one fewer.",
     "Use an odd number."},
    {"file_exists",
     "The file that a document is to be written to is there already. What somebody wrote is never "
     "overwritten.",
     "Choose another name, or remove the file."},
    {"file_too_large", "A file or input is larger than it may be.",
     "The message has the limit: split the file, or leave out what is not needed."},
    {"fits_no_node",
     "A pod asks for more than any node that it may run on leaves to pods, so it would wait for ever. "
     "Kubelet, system and the eviction margin are taken off already.",
     "Ask for less, choose larger machines, or name another pool."},
    {"from_without_public", "Networks are named that may reach an API server that nobody can reach.",
     "Write api: public, or remove from."},
    {"gateway_cannot", "The gateway that was chosen has no such feature.",
     "Choose the gateway that the hint names, or leave the feature out."},
    {"gguf_malformed", "The file begins like a GGUF file, but its metadata is not readable.",
     "Get the file again; check its digest."},
    {"gguf_truncated", "The GGUF file ends before its metadata does. Most often a download was cut.",
     "Get the file again; check its digest."},
    {"gpu_count_wrong", "The GPUs that a pool or host is said to have are not those that its machines have.",
     "Write the number that the message names."},
    {"gpu_fraction", "Devices are given out whole.", "Ask for whole GPUs."},
    {"gpu_idle", "A Model asks for several GPUs with an engine that uses them badly.", "Write engine: vllm."},
    {"gpu_not_declared",
     "Machines have GPUs and the document does not say so: no driver would be put there and they would stand "
     "idle.",
     "Declare them at the pool, or choose other machines."},
    {"gpu_unequal", "Devices are not shared, so requests and limits of GPUs must be the same number.",
     "Write the same number in both."},
    {"head_too_large", "The head of the request is larger than 32 KiB or has more than 100 fields.",
     "Send fewer or shorter header fields."},
    {"hold_deadline",
     "The request was held for a replica until the hold deadline of its Model and no replica became ready in "
     "time. "
     "Retry-After comes from the learned cold start.",
     "Send the request again after that time, or raise spec.hold.deadline or spec.replicas.min."},
    {"hold_full",
     "As many requests wait for this Model as may wait (spec.hold.requests), or their bodies have as many "
     "bytes as may "
     "be held (spec.hold.bytes). Beyond that a quick refusal is worth more than a long wait.",
     "Send the request again after Retry-After, or raise the bounds in the document."},
    {"host_not_allowed",
     "The console port answers only to loopback names in the Host field, so that no web page can reach it "
     "through a "
     "name that points here.",
     "Use http://127.0.0.1 with the console's port."},
    {"host_outside_domain",
     "A published name is not below the domain of the platform: neither its DNS record nor its certificate "
     "could be made.",
     "Choose a name below the domain."},
    {"host_taken", "Two parts are published under the same name and path.",
     "Give each its own name, or its own paths."},
    {"hosted_runner",
     "The job that deploys would run on a machine of the forge, which has no fixed address, and the API "
     "server "
     "takes no calls from everywhere.",
     "Remove delivery.ci.runner, or name the label of a machine of your own."},
    {"internal_error", "tidegate met a state that should not exist. It is a fault of the program.",
     "Run `tidegate diagnose` and report it with that file."},
    {"interrupted",
     "tidegate was ended while it answered the request. On the next start its journal showed a begin without "
     "an end, "
     "so the request was settled with estimated tokens.",
     "Nothing; the ledger is complete."},
    {"invalid_api_key",
     "The request carries no key, or none that exists. Keys stand in Authorization: Bearer tg-... and end "
     "with a "
     "checksum, so a mistyped one is told from a revoked one.",
     "Make a key with `tidegate keys create`; `tidegate keys list` shows those there are."},
    {"invalid_json", "The bytes are not valid JSON. Nothing was sent upstream.",
     "Correct the body; the message has the place."},
    {"invalid_utf8", "The text is not valid UTF-8.", "Send UTF-8."},
    {"invalid_value", "A field of the request has a value that the engine does not take.",
     "Correct the field; the message names it."},
    {"iops_need_size",
     "The cloud gives a volume so many operations for each GiB. The class promises more than a volume of "
     "this size can have, and its creation would fail.",
     "Claim a larger volume, or a class with fewer operations."},
    {"journal_corrupt",
     "A record of the journal has a wrong checksum. What follows it in that segment cannot be trusted and is "
     "not "
     "counted; everything before it is.",
     "Check the disk. The message names the segment, which is kept."},
    {"json_too_deep", "The JSON is nested deeper than 128 levels.", "Send a flatter document."},
    {"key_ambiguous", "The first characters name more than one active key.",
     "Give the key's name, or the whole key by standard input."},
    {"key_count_invalid", "So many keys cannot be made at once.", "Ask for 1 to 100000."},
    {"key_in_state",
     "Without a public key the cloud makes a pair, and its private half is kept in the state of Terraform.",
     "Name a public key."},
    {"key_name_invalid",
     "A key's name has at most 128 characters, none of them a control character, and does not begin with "
     "tg-, because "
     "only keys do.",
     "Choose a short name such as laptop or ci."},
    {"key_name_taken",
     "An active key has that name already. Names of active keys are unique, so that a report by name is "
     "unambiguous.",
     "Choose another name, or revoke the other key first."},
    {"key_not_found",
     "No active key has that name or begins with those characters. Revoked keys cannot be revoked again.",
     "`tidegate keys list` shows the active keys."},
    {"key_required",
     "The endpoint changes something or shows what not everybody may see, and the caller proved no right to "
     "it.",
     "Use the tidegate command on this machine; it speaks over a socket that only its user can open."},
    {"ledger_stopped",
     "The thread that keeps usage sums has ended, so the sums cannot be brought up to date.",
     "Start tidegate again; the journal has everything, and the sums are made from it."},
    {"limit_not_here",
     "The limit of an app counts each client by itself; only the gateway can count all together.",
     "Take per out, or set the limit at components.gateway.rateLimit."},
    {"loading", "The engine is loading its weights and cannot answer yet.",
     "Wait; requests through tidegate are held until it is ready."},
    {"local_volumes",
     "A static local volume is a whole disk of one host. There are fewer disks than claims, or none is large "
     "enough.",
     "Claim less, add a disk, or claim another class."},
    {"many_platforms", "The documents hold more than one Platform, and a tree is of one.",
     "Name it with --platform."},
    {"memory_short",
     "The memory that engines may use, by the cgroup limit or MemAvailable, is less than a replica of this "
     "Model "
     "needs. The need is measured once it ran, before that estimated from the file and the context.",
     "Choose a smaller model, lower spec.context or spec.slots, free memory, or wait until another Model is "
     "idle."},
    {"method_not_allowed", "The path exists, but not with this HTTP method.",
     "Use the method that the Allow header or the message names."},
    {"missing_argument", "A word of the command line needs something that is not there.",
     "Run it with --help: it shows two examples."},
    {"missing_field", "A field that must be there is not.", "Add it as the hint shows."},
    {"missing_store", "Secrets are to come from a store, and it is not said from which.",
     "Add components.secrets.from."},
    {"missing_value", "A flag stands there without its value.", "Write the value after the flag."},
    {"model_not_found",
     "There is no Model or Route of that name, or the key may not use it. Clients get the same answer in "
     "both cases, "
     "so that names of other tenants cannot be guessed.",
     "GET /v1/models lists the names a key may use, `tidegate models` the Models."},
    {"model_removed", "The Model was removed from the documents while the request was held for it.",
     "Use another model; GET /v1/models lists them."},
    {"model_required", "The request body has no field model, or it is not a text.",
     "Add \"model\": \"NAME\" to the body."},
    {"more_than_partitions",
     "Each partition of a topic is read by one member of a consumer group. More replicas than partitions "
     "stand idle.",
     "Allow as many replicas as partitions, or make more partitions."},
    {"name_not_resolved", "The host name has no address.", "Check the spelling and the machine's DNS."},
    {"name_twice", "Two things of the platform have one name, and what they are called by would mean either.",
     "Give one of them another name."},
    {"nameserver_outside",
     "Nodes of Open Telekom Cloud find its services by its own resolvers. Without one in the first place "
     "they do not join the cluster.",
     "Put a resolver of the cloud first."},
    {"needs_balancer", "The gateway's Service asks for an address, and nothing is known to give it one.",
     "Add a load balancer to the cluster, or write components.gateway.nodePorts."},
    {"needs_bucket", "Data that several programs share, or copies, need a bucket, and none is named.",
     "Name one."},
    {"needs_component", "A field asks for a part of the platform that is left out.",
     "Add the part that the hint names, or remove the field."},
    {"needs_database",
     "Copies of a program that keeps its data in a file of its own would each have other data.",
     "Name a database, or keep one copy."},
    {"needs_domain", "Names are published, and the platform has no domain.", "Add domain."},
    {"needs_email",
     "A mail address is needed, for the account of the authority or as the name of the first user.",
     "Add contacts.email."},
    {"needs_host", "Something is to be published and has no name.", "Add the host."},
    {"needs_load_balancer",
     "Several control planes have no address in common, so nodes would know only one of them.",
     "Add a load balancer or cluster.endpoint."},
    {"needs_login",
     "A page that shows the inside of the platform is published and no login stands before it.",
     "Add access.login.oidc, or do not publish it."},
    {"needs_namespace", "Quotas hold in a namespace, and the Tenant has none.",
     "Write isolation: namespace, or remove the quota."},
    {"needs_port", "A program is to be reached and listens on no port.", "Add port."},
    {"needs_receiver", "Alerts are sent on, and there is no receiver.",
     "Add one to components.alerts.receivers."},
    {"needs_repository", "A pipeline logs in by the name of its repository, and none is named.",
     "Add repository."},
    {"needs_server", "Shared files need a server where no cloud offers them.", "Name an NFS server."},
    {"needs_shared_class",
     "Several replicas write one volume, and no storage class can be mounted by more than one node.",
     "Add a class with kind: shared, or keep one replica."},
    {"network", "A download failed in the network. It is tried again and goes on where it stopped.",
     "Check the connection; HF_ENDPOINT or a file:// source are ways around a host that cannot be reached."},
    {"network_not_private", "EKS takes for services a network of the private ranges only.",
     "Choose one of those that the hint names."},
    {"network_too_small",
     "The network of pods or services has fewer addresses than the nodes and services may take.",
     "Choose a larger one."},
    {"never_reached", "The first entry that fits takes an alert. An entry above fits all.",
     "Put the entry without conditions last."},
    {"never_scales",
     "A program is to follow a measure, and its least and greatest numbers of replicas are the same.",
     "Raise replicas.max, or remove scale."},
    {"no_certificate", "Names are published and nobody fetches certificates for them.",
     "Write components.certificates: cert-manager."},
    {"no_control_plane", "A cluster needs a host that runs its API server and its store.",
     "Give one host, or three, that role."},
    {"no_data_dir", "The data directory does not exist, so there are no keys and no usage.",
     "`tidegate up` makes it. If it is elsewhere, name it with --data or XDG_DATA_HOME."},
    {"no_dns", "Proof by DNS needs a DNS service that the platform can write to.", "Use http01."},
    {"no_dns_provider",
     "The authority wants an entry in a DNS zone, and this infrastructure has no zone that could be written.",
     "Use http01, or a cloud with dns.zone."},
    {"no_effect",
     "The field does nothing together with the others of this document. It is refused, because a field "
     "without effect "
     "misleads its reader.",
     "Remove it, or change what the message names."},
    {"no_egress", "Nodes have no way to the internet and pull images from there.",
     "Write egress: nat, unless a mirror is in the network."},
    {"no_gpu", "A rule is about GPUs, and no pool has any.",
     "Give a pool gpu: {vendor: nvidia}, or remove the rule."},
    {"no_local_disks", "A local class has no disks: no pool and no host names it.",
     "Name it at a host or a pool, or write dynamic: true."},
    {"no_object_store", "Many programs share what they keep, and this infrastructure has no bucket for it.",
     "Use mode: monolithic, which keeps it on a volume."},
    {"no_platform", "There is no Platform in the documents, so there is nothing to render.",
     "Add a document of kind Platform, or name the files that hold it."},
    {"no_port", "No free port was found for a replica on the loopback address.",
     "Close programs that hold many ports; see /proc/sys/net/ipv4/ip_local_port_range."},
    {"no_snapshots", "Volumes are to be copied by snapshots, which no class here can make.",
     "Write volumes: fileSystem."},
    {"no_such_storage", "The infrastructure has no volumes of this kind.",
     "Choose the kind that the hint names."},
    {"no_vpn_here", "The VPN of the document is not made on this cloud.",
     "Use access.bastion or access.peering."},
    {"no_way_in", "The API server is private and the document names no way to it.",
     "Add access.bastion: true, access.vpn or access.peering."},
    {"nobody_is_told", "Alerts have no receiver: they are only shown.",
     "Add components.alerts.receivers, or write alerts: none."},
    {"nobody_scales", "A pool may grow, and nobody makes it.",
     "Write components.autoscaling.nodes: cluster-autoscaler, or one count."},
    {"none_and_more", "The word none stands beside others.", "Remove none, or the others."},
    {"not_a_directory", "The path exists and is not a directory.", "Name another path."},
    {"not_a_tree",
     "The folder holds files that render did not write. It writes into no such folder, because it removes "
     "what an earlier render left there.",
     "Name a new or empty folder, or one that render wrote."},
    {"not_enforced", "A bound is written that Kubernetes does not hold anybody to.",
     "Write it where the hint says."},
    {"not_enough_nodes",
     "The nodes at their most do not hold what may run on them: the last replicas would wait for ever.",
     "Allow fewer replicas or more nodes."},
    {"not_for_kind", "A setting does not belong to this kind of class or service.", "Remove it."},
    {"not_for_role", "A setting does not belong to a host of this role.", "Remove it."},
    {"not_found", "The admin API, or the engine, has nothing under that path.",
     "docs/reference/admin-api.md lists the paths."},
    {"not_gguf", "The file is not in the GGUF format, which is the one that llama.cpp reads.",
     "Name a .gguf file; many repositories have one beside other formats."},
    {"not_here", "The infrastructure does not have what the field asks for.", "Do as the hint says."},
    {"not_published",
     "A rule for requests that come through the gateway stands at a program that no gateway publishes.",
     "Add hosts, or remove the rule."},
    {"not_running", "The word asks the running tidegate, and none runs on this data directory.",
     "Start one with `tidegate up`, or name its data directory with --data."},
    {"not_served_yet", "The gateway in the cluster decides this by itself and does not follow the field.",
     "Leave the field out."},
    {"not_supported_yet",
     "The field or value is known, but this version does not act on it. It is refused rather than ignored, "
     "so that a "
     "document never promises what does not happen.",
     "Remove it, or use a version that has it."},
    {"not_with", "Two settings exclude each other.", "Do as the hint says."},
    {"nothing_grows", "What runs once has no replicas that could follow the processor.",
     "Write as: Deployment, or take autoscaling out."},
    {"nothing_measures", "Replicas are to follow requests, and nothing counts the requests of this program.",
     "Publish it behind a gateway, or use the mesh; and keep metrics."},
    {"nothing_renders",
     "The field is known and good, but nothing of what is rendered depends on it: it belongs to a part that "
     "is "
     "switched off, or to another infrastructure. It is refused, because a field that does nothing hides "
     "that what "
     "was wanted is not there.",
     "Remove the field, or switch on the part that it belongs to."},
    {"nothing_there", "The rendered tree has nothing at the path that was asked for.",
     "Render without --only to see what there is."},
    {"nothing_to_serve", "There is a page to talk to models, and no model.", "Add a Model or a Provider."},
    {"nothing_wakes",
     "Without a replica there is nothing whose processor, memory or requests could be measured, so nothing "
     "would start one.",
     "Write replicas.min: 1, or scale by Kafka, Redis or hours."},
    {"nowhere_to_run", "Every node has a taint, and it is not said on which the parts of the platform run.",
     "Add components.placement, a pool without taints, or a pool."},
    {"one_gateway", "The gateway in the cluster keeps keys and usage in a volume of its own and runs once.",
     "Take replicas out; it is restarted in seconds."},
    {"one_key",
     "The gateway that was chosen has one key for all: Tenants are not told apart, and their limits do not "
     "hold.",
     "Leave components.serving out: tidegate keeps keys, limits and usage."},
    {"one_of", "The map holds two fields of which only one is possible.", "Remove one of them."},
    {"one_size_per_pool", "A pool of this cloud has machines of one size. The first of the list is taken.",
     "Make a pool of each size."},
    {"open_api", "The API server can be reached from outside and it is not said from where.",
     "Add access.from, or write api: private."},
    {"open_to_all", "Everybody can reach the API server; only its login holds them back.",
     "Name the networks of those who need it."},
    {"out_of_memory", "The program could not get memory.",
     "Free memory on the machine, or raise the limit of the cgroup."},
    {"out_of_range", "The value lies outside of what is possible. The message has the bounds.",
     "Choose a value within the bounds."},
    {"output_is_secret", "A place of the tree asks for an output of Terraform that is a secret.",
     "Refer to the secret with secretRef; none is rendered."},
    {"output_missing",
     "A place of the tree waits for an output of Terraform that the file of --outputs lacks.",
     "Apply the rendered Terraform, then write the file again."},
    {"output_not_text",
     "A place of the tree waits for an output of Terraform whose value is empty, a list or a number.",
     "Name an output whose value is a text."},
    {"overloaded",
     "As many connections or streams are open as the limit of open files allows. New ones are refused so "
     "that those "
     "there are go on.",
     "Raise the hard limit of open files (ulimit -Hn), or spread the clients over time."},
    {"path_taken", "Two disks of a host are mounted at one directory.", "Mount each at its own."},
    {"path_too_long", "The path of a unix socket may have 107 bytes and has more.",
     "Use a shorter data directory with --data."},
    {"peer_half",
     "A peering has two halves, and the other one belongs to the other network, whose owner must make it.",
     "Ask its owner to add a peering to this network."},
    {"plain_http",
     "The credential of the Provider is sent over a connection without TLS. Whoever is on the way can read "
     "it.",
     "Use https:// unless the whole way is trusted."},
    {"port_taken",
     "A stranger answered on the port that the replica's engine was to use. It was noticed because it does "
     "not know "
     "the random key of this start.",
     "Nothing; the next start takes another port."},
    {"priority_twice", "Two Tenants give one priority class different values.",
     "Give the classes different names, or the same value."},
    {"private_key_in_state",
     "A key pair is made for the nodes, and its private half lies in Terraform's state, readable to all who "
     "read that.",
     "Make a pair with ssh-keygen and name its public half."},
    {"query_invalid", "A parameter of the admin API is unknown or has a value it cannot have.",
     "Correct it; the message names it."},
    {"quota_above_nodes", "A quota grants more than all nodes have, so it holds nothing back.",
     "Grant what there is, or add nodes."},
    {"quota_exceeded", "What a Tenant runs needs more than its quota: Kubernetes would refuse the last pods.",
     "Allow fewer replicas, or raise the quota."},
    {"rate_limit_exceeded",
     "The key or its Tenant has used up its requests or tokens of this minute, or has as many requests at "
     "once as it "
     "may. The answer has Retry-After and x-ratelimit headers; a refused request consumes nothing.",
     "Wait as long as Retry-After says, or ask for a higher limit."},
    {"ready", "The Model has replicas that take requests.", "Nothing."},
    {"refused_by_sink", "The download was broken off because its target could not take the bytes.",
     "See the error that came with it: most often the disk is full."},
    {"registry_not_allowed", "An image comes from a registry that the policy of the platform refuses.",
     "Add the registry to components.policy.registries, or use another image."},
    {"replica_suspect",
     "A connection to the replica broke, so it gets no requests for a moment while it is looked at. If it is "
     "well it "
     "comes back, else it is replaced.",
     "Nothing; `tidegate models logs NAME` shows what the engine wrote."},
    {"request_above_limit", "A request is above its limit, which Kubernetes refuses.",
     "Raise the limit, or lower the request."},
    {"request_exceeds_limit",
     "The request alone asks for more tokens than the whole limit of a minute. Waiting does not help, so "
     "there is no "
     "Retry-After.",
     "Lower max_tokens or shorten the prompt, or raise the limit of the key or Tenant."},
    {"reserve_above_node", "What a node keeps for itself is all it has.",
     "Lower the reserve, or choose a larger machine."},
    {"reserved_name", "Kubernetes keeps such names for itself.", "Choose another name."},
    {"retired", "A part gets no more releases, so holes in it stay open.", "Choose what the hint names."},
    {"rounded", "The store removes logs in whole days, so the time is rounded up.", "Write whole days."},
    {"same_image", "The next version of a program is the present one.",
     "Write the image of the next version, or remove canary."},
    {"scales_by_stranger",
     "A program scales by a service that it does not use. Only what it uses may be reached from it.",
     "Add the service to uses."},
    {"secret_in_document",
     "A secret stands in the document itself, where version control and every reader see it.",
     "Write {env: NAME} or {file: PATH} in its place, and consider the secret known to others."},
    {"secret_on_command_line",
     "A secret stands among the arguments. Every user of the machine can read the arguments of every "
     "process, and "
     "shells write them into their history.",
     "Give it by standard input (-), a file or the environment, and replace the secret."},
    {"segment_invalid", "A journal segment has a head that is not one. It is left alone and not counted.",
     "Check the disk. The file is named; a file that is none of ours can be removed."},
    {"self_signed", "Certificates that nobody else knows are published.", "Keep them for development."},
    {"shutting_down",
     "tidegate is stopping. Running requests are finished within the drain time, held and new ones are "
     "refused.",
     "Send the request again when it is back."},
    {"simulated_fault", "The document asks the simulated engine to fail here (engine.simulated.fail).",
     "Remove the entry from the document when the test is over."},
    {"source_not_there", "The weights are a file of one machine, and replicas run on any node.",
     "Name a source that every node can reach."},
    {"start_timeout", "The engine was started and did not become ready in time.",
     "Run `tidegate models logs NAME`: large weights on a slow disk, or an engine that waits for something, "
     "look like "
     "this."},
    {"starting", "A replica is about to start.", "Wait a moment."},
    {"state_invalid",
     "A file of learned values in DIR/state is not readable. It is ignored and written anew; estimates begin "
     "from "
     "their defaults.",
     "Nothing."},
    {"state_is_local",
     "Terraform keeps its state on the machine that applies. Two people cannot apply, and a lost disk loses "
     "the state.",
     "Name a bucket at state.bucket."},
    {"static_default", "Static local volumes are claimed whole, so the default class must not be one.",
     "Make another class the default."},
    {"stopped", "The work was ended because tidegate is stopping or its Model is no longer wanted.",
     "Nothing."},
    {"subnet_too_small", "A subnet has fewer addresses than a cluster takes.", "Choose a larger one."},
    {"tenant_not_found", "There is no Tenant of that name in the documents that serve now.",
     "Add the Tenant, or leave out --tenant: the Tenant default always exists."},
    {"time_invalid", "The text is neither a time nor a duration.",
     "Write a UTC day or time such as 2026-11-21 or 2026-11-21T10:15, or a duration ago such as 24h."},
    {"timeout_betweenEvents",
     "The upstream began a stream and then sent nothing for as long as timeouts.betweenEvents allows.",
     "Look at the upstream, or raise the timeout in the Route."},
    {"timeout_connect", "No connection to the upstream within timeouts.connect.",
     "Check that the upstream is reachable, or raise the timeout in the Route."},
    {"timeout_firstByte",
     "The upstream took the request and sent no byte of a stream within timeouts.firstByte.",
     "Long prompts on a slow engine need a longer timeout in the Route; else look at the upstream."},
    {"timeout_request", "The client did not send the rest of its request in time.",
     "Send the request without pauses."},
    {"timeout_tls", "The TLS session with the upstream was not ready within timeouts.tls.",
     "Check the upstream's address and port, or raise the timeout in the Route."},
    {"timeout_total",
     "The answer took longer in all than timeouts.total allows, counted from dispatch, not while held.",
     "Ask for fewer tokens, or raise the timeout in the Route."},
    {"too_deep", "The YAML is nested deeper than a file may be.", "Write a flatter document."},
    {"too_few_zones", "The control plane of the cloud wants subnets in two zones.", "Add a zone."},
    {"too_many_nodes", "The YAML file holds more values than a file may hold.", "Split it."},
    {"two_autoscalers",
     "Replicas follow processor and memory already; changing the requests of pods by the same measure makes "
     "both swing.",
     "Write vertical: recommend, or take cpu or memory out of scale."},
    {"two_conditions", "An alert rule looks at two things, and an alert has one cause.",
     "Make a rule for each."},
    {"two_stores", "Copies go to one store.", "Remove one of them."},
    {"type_not_known", "A type of machine is not in the catalog, so sums leave its nodes out.",
     "Add resources to the pool."},
    {"unknown_alias", "A YAML alias names an anchor that does not stand before it.",
     "Define the anchor first, or correct its name."},
    {"unknown_api_version", "The apiVersion of the document is not one that this program knows.",
     "Write apiVersion: tidegate.dev/v1alpha1."},
    {"unknown_choice", "The value is not one of the words that are possible here.",
     "Write one of them; the hint has the nearest."},
    {"unknown_disk_type", "The cloud has no disks of this type.", "Choose one of those that the hint names."},
    {"unknown_exporter", "No exporter for this kind of service is known here.",
     "Name its image and port, or one of those that the hint lists."},
    {"unknown_field",
     "The field is not part of this kind of document. A mistyped field would otherwise be ignored without a "
     "word.",
     "Take the nearest name from the hint, or see `tidegate explain KIND`."},
    {"unknown_flag", "The word has no such flag.",
     "Take the nearest one from the hint, or run the word with --help."},
    {"unknown_flavor", "The cloud has no control plane of this size.",
     "Choose one of those that the hint names."},
    {"unknown_instance_type", "The cloud has no machines of this type.", "Correct the name."},
    {"unknown_kind", "There is no such kind of document, or it has no schema in this version.",
     "Write Model, Provider, Route, Tenant, Platform or TrainingRun."},
    {"unknown_name", "The text is neither a reason code nor a field.",
     "`tidegate explain Model` lists the fields of a Model; docs/reference/reasons.md the codes."},
    {"unknown_os", "The cloud has no nodes with this system for this version of Kubernetes.",
     "Choose one of those that the hint names."},
    {"unknown_path", "The gateway has nothing under that path.",
     "Use /v1/chat/completions, /v1/completions, /v1/embeddings or /v1/models below the gateway's address."},
    {"unknown_reference", "A document names a Model, Provider or Route that is not there.",
     "Correct the name, or add the document; the hint has the nearest."},
    {"unknown_region", "The cloud has no region of this name.", "Correct the name."},
    {"unknown_tag",
     "A YAML value has a tag (!name) that this program does not know. Tags can make readers build objects, "
     "so only "
     "those of plain YAML are taken.",
     "Remove the tag."},
    {"unknown_time_zone",
     "The time zone database has no such name, so programs refuse to start with it, and clouds that take "
     "hours "
     "of UTC cannot be told an offset.",
     "Write REGION/CITY as the time zone database has it."},
    {"unknown_word", "The program has no such word.",
     "Take the nearest one from the hint, or run `tidegate --help`."},
    {"unknown_workload", "A rule is about a program that nothing of this platform runs.",
     "Name one of those that the hint lists."},
    {"upstream_cut",
     "The upstream closed its connection inside its answer. Nothing of it had been relayed, so the client "
     "gets this "
     "error and no half answer.",
     "Send the request again; look at the upstream."},
    {"upstream_error",
     "The upstream answered with an error. Its status is kept, and if its body was not JSON the message has "
     "its "
     "beginning.",
     "Act on the upstream's text."},
    {"upstream_malformed", "The upstream's answer is not valid HTTP or not valid JSON.",
     "Look at what listens at the Provider's URL."},
    {"upstream_no_answer",
     "The upstream took the whole request on a fresh connection and closed it without an answer. The request "
     "is not "
     "sent again, because it may have been charged.",
     "Send it again if that is acceptable; look at the upstream."},
    {"upstream_not_a_stream", "The client asked for a stream and the upstream sent one whole answer.",
     "Ask without stream, or look at what listens at the Provider's URL."},
    {"upstream_tls_failed",
     "No trusted TLS session with the upstream: its certificate is wrong for that name, expired, or signed "
     "by nobody this machine trusts, or it does not speak TLS as we do. The message says which; the log "
     "names the upstream and has OpenSSL's words.",
     "Check the Provider's URL and the machine's clock and trust anchors (package ca-certificates). There is "
     "no way to switch verification off."},
    {"upstream_unreachable", "No connection to the upstream.",
     "Check that it runs and that the Provider's URL is right."},
    {"usage", "The hidden word that runs the simulated engine was given wrong arguments.",
     "It is started by tidegate itself; there is no need to call it."},
    {"usage_by_unknown", "Usage cannot be grouped by that word.",
     "Use key, tenant, model, route, outcome, day, hour or minute, several with commas."},
    {"uses_itself", "A program names itself among what it calls.", "Remove it."},
    {"version_ended", "The version of Kubernetes gets no more patches.", "Plan the upgrade."},
    {"version_ends", "The version of Kubernetes gets patches for less than 120 days more.",
     "Plan the upgrade."},
    {"version_mismatch", "Two versions do not go together.", "Choose those that the message names."},
    {"version_not_offered", "The version is past its end, not out yet, or not offered here.",
     "Choose one of those that the hint names."},
    {"virtual_address",
     "Two or more load balancers share one address; one alone needs none, and without it two have nothing in "
     "common.",
     "Add the second load balancer or the address, or remove one."},
    {"volume_not_shared", "Several pods mount one volume, whose class binds it to one node at a time.",
     "Claim a shared class, or allow one replica."},
    {"volume_too_small", "Volumes of this type begin at a greater size.", "Claim more, or another class."},
    {"volume_type_not_here", "Only Open Telekom Cloud takes the type of a volume from its claim.",
     "Name a storage class of that type."},
    {"waits_for_memory",
     "A replica of another Model is being ended, and this Model starts when its memory is free.",
     "Nothing; it takes as long as running requests there need."},
    {"weights_denied",
     "The host of the weights refuses them without a right to them, often because a licence must be accepted "
     "there "
     "first.",
     "Set HF_TOKEN for Hugging Face, accept the licence on its page, or use a file:// source."},
    {"weights_fetching",
     "The weights of the Model are being downloaded. The text has bytes and, once known, the time left. A "
     "broken "
     "download goes on where it stopped.",
     "Wait. `tidegate models --watch` shows the progress."},
    {"weights_host", "The host of the weights answered in a way that cannot be used.",
     "Check the source in the document; the message has the host's status."},
    {"weights_loading",
     "The engine runs and loads its weights. The estimate comes from earlier starts on this machine.",
     "Wait; held requests are answered in order when it is ready."},
    {"weights_missing",
     "The weights are not on this machine and cannot be fetched from there: the file or the repository does "
     "not have "
     "them.",
     "Check the source in the document."},
    {"weights_no_network",
     "The weights are not on this machine and the network or the host cannot be reached.",
     "Connect the machine, or put the file where the message says."},
    {"weights_split", "The weights are split over several files, which this version does not join.",
     "Name a file that holds the whole model, or join the parts with llama-gguf-split --merge."},
    {"whole_days", "The store deletes by whole days.", "Write whole days."},
    {"wildcard_needs_dns01",
     "A certificate for all names below a domain is signed only for whoever can write its DNS zone.",
     "Add the challenge dns01."},
    {"window_too_short", "The cloud takes a longer window than the document has, and gets it.",
     "Write as many hours as the message says, or none: the default is made longer without a word."},
    {"wrong_collector", "The logs are kept in a way that this collector does not write.",
     "Choose the collector that the hint names."},
    {"wrong_kind", "What is named is there, but is of another kind than the field needs.",
     "Name one of the kind that the message asks for."},
    {"wrong_length",
     "The host of the weights sends another number of bytes than it or the document announced.",
     "Try again; if it stays so, check the source in the document."},
    {"wrong_site", "The service exists in another cloud only.", "Choose the one that the hint names."},
    {"wrong_type", "The value has another type than the field.", "Write it as the hint shows."},
    {"wrong_unit", "The unit does not fit the field.",
     "Write it as the hint shows; `tidegate explain FIELD` has the unit."},
    {"yaml_syntax", "The file is not valid YAML.",
     "The message has line and column; indentation and quotes are the usual causes."},
    {"zone_elsewhere",
     "A zone does not belong to the region, or a DNS zone does not hold the names of the platform.",
     "Choose one that does."},
    {"zone_twice", "A zone stands in the list twice.", "Remove one."},
};

}  // namespace

std::span<const ReasonEntry> reasons() { return kReasons; }

}  // namespace tg::admin
