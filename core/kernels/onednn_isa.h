#pragma once

namespace contexture::kernels {

// Keeps oneDNN to the instruction set that was detected (a virtual machine may advertise AMX and
// refuse it) or asked for. Takes effect before oneDNN's first call only, so the first caller
// decides; whoever calls oneDNN calls this before.
void LimitOneDnnIsa();

}  // namespace contexture::kernels
