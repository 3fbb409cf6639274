#pragma once

#include <string>

#include "client/cli/picture.h"

namespace contexture::cli {

enum class PictureFormat { kPng, kSvg };

// The input of gnuplot 5.2 or newer that draws the picture on its standard output. Texts stand in
// data blocks only, so that none is ever read as a command, whatever it contains.
std::string GnuplotScript(const Picture& picture, PictureFormat format);

}  // namespace contexture::cli
