#pragma once

#include <cstddef>
#include <string_view>

namespace dispatch {

/// The length in bytes of the well-formed UTF-8 character (RFC 3629, section 4) at the begin of
/// `text`, which is not empty; 0: there is none.
size_t CharacterLength(std::string_view text);

}  // namespace dispatch
