#pragma once

namespace contexture::kernels {

// Counts a kernel or primitive for NumKernelsCreated. Thread safe.
void CountKernelCreated();

}  // namespace contexture::kernels
