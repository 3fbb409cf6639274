#pragma once

#include "grpcpp/server_builder.h"
#include "server/options.h"

namespace contexture {

// Message limits and connection settings of OPTIONS, no compression (vectors do not shrink), and no
// sharing of the port with another process.
void Configure(const ServerOptions& options, grpc::ServerBuilder& builder);

// Raises the limit of open files to what the system allows: gRPC 1.51 stops accepting for good once
// it has run out of them. Returns the limit, 0 when it is not known.
uint64_t RaiseFileLimit();

}  // namespace contexture
