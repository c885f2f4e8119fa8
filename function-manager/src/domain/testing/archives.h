#pragma once

#include <fmt/format.h>
#include <zlib.h>

#include <string>

namespace dispatch::testing {

/// A tar's header of one entry, ustar.
inline std::string Header(const std::string& name, size_t size, char type = '0', int mode = 0644) {
  std::string block(512, '\0');
  name.copy(block.data(), 100);
  auto put = [&](size_t at, const std::string& text) { text.copy(block.data() + at, text.size()); };
  put(100, fmt::format("{:07o}", mode));
  put(124, fmt::format("{:011o}", size));
  put(148, "        ");
  block[156] = type;
  put(257, "ustar");
  size_t sum = 0;
  for (unsigned char c : block) sum += c;
  put(148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block;
}

inline std::string Padded(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

inline std::string Gzip(const std::string& bytes) {
  std::string out(compressBound(bytes.size()) + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A tar of one file under gzip, as sources come.
inline std::string Archive(const std::string& name, const std::string& bytes) {
  return Gzip(Header("./" + name, bytes.size()) + Padded(bytes));
}

}  // namespace dispatch::testing
