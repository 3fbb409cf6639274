#pragma once

namespace contexture {

// Makes the calling thread compute denormal floats as zero, in operands and results, where the CPU
// can: they carry no information in an encoder and cost a hundred cycles each. Undone by nothing.
void FlushDenormals();

}  // namespace contexture
