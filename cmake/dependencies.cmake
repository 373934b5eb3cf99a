# Every library and its version in one place. All come from Debian 12; `./dev setup` installs tools/packages.txt.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)                 # libssl-dev 3.0
find_package(fmt 9.1 REQUIRED)                     # libfmt-dev 9.1
find_package(simdjson 3.0 REQUIRED)                # libsimdjson-dev 3.0
find_package(nlohmann_json 3.11 REQUIRED)          # nlohmann-json3-dev 3.11
find_package(CLI11 2.1 REQUIRED)                   # libcli11-dev 2.1
find_package(SQLite3 3.40 REQUIRED)                # libsqlite3-dev 3.40
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)   # libyaml-dev 0.2.5
# libcurl is opened at first use (see runtime/), so only its header is needed: libcurl4-openssl-dev 7.88.
find_path(CURL_INCLUDE_DIR curl/curl.h REQUIRED)
if(TIDEGATE_TESTS)
  find_package(GTest 1.12 REQUIRED)                # libgtest-dev, libgmock-dev 1.12
endif()
if(TIDEGATE_BENCH)
  find_package(benchmark 1.7 REQUIRED)             # libbenchmark-dev 1.7
endif()
# node-llhttp 8.1 (C sources of Node's parser) is the oracle of request_head_fuzz; see src/http/CMakeLists.txt.
