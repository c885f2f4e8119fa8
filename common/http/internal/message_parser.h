#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string>

#include "common/http/message.h"

namespace dispatch::http::internal {

using BeastError = boost::beast::error_code;

/// Beast's parser filling our own types at once, for both directions. Trailers are dropped: they
/// must not pass for headers.
template <bool kIsRequest>
class MessageParser : public boost::beast::http::basic_parser<kIsRequest> {
 public:
  using string_view = boost::beast::string_view;
  using field = boost::beast::http::field;

  MessageParser(Headers& headers, std::string& body) : headers_(headers), body_(body) {
    this->eager(true);
  }

  bool head_done() const { return head_done_; }
  int content_length_count() const { return content_lengths_; }
  int transfer_encoding_count() const { return transfer_encodings_; }
  int host_count() const { return hosts_; }

 protected:
  // NOLINTBEGIN(readability-identifier-naming): Beast's names
  void on_field_impl(field name, string_view text, string_view value, BeastError&) override {
    if (head_done_) return;
    if (name == field::content_length) ++content_lengths_;
    if (name == field::transfer_encoding) ++transfer_encodings_;
    if (name == field::host) ++hosts_;
    headers_.Add(std::string(text.data(), text.size()), std::string(value.data(), value.size()));
  }
  void on_header_impl(BeastError&) override { head_done_ = true; }
  void on_body_init_impl(const boost::optional<uint64_t>&, BeastError&) override {}
  size_t on_body_impl(string_view piece, BeastError& error) override {
    return OnBody(piece, error);
  }
  void on_chunk_header_impl(uint64_t, string_view, BeastError&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view piece, BeastError& error) override {
    return OnBody(piece, error);
  }
  void on_finish_impl(BeastError&) override {}
  // NOLINTEND(readability-identifier-naming)

  virtual size_t OnBody(string_view piece, BeastError&) {
    body_.append(piece.data(), piece.size());
    return piece.size();
  }

  Headers& headers_;
  std::string& body_;

 private:
  bool head_done_ = false;
  int content_lengths_ = 0;
  int transfer_encodings_ = 0;
  int hosts_ = 0;
};

class RequestParser final : public MessageParser<true> {
 public:
  explicit RequestParser(Request& request)
      : MessageParser(request.headers, request.body), request_(request) {}
  /// 11 for HTTP/1.1.
  int version() const { return version_; }

 protected:
  void on_request_impl(boost::beast::http::verb, string_view method, string_view target,
                       int version, BeastError&) override {
    version_ = version;
    request_.method.assign(method.data(), method.size());
    request_.target.assign(target.data(), target.size());
  }
  void on_response_impl(int, string_view, int, BeastError&) override {}

 private:
  Request& request_;
  int version_ = 11;
};

/// Stops with body_limit at `max_body` bytes, which it keeps.
class ResponseParser final : public MessageParser<false> {
 public:
  ResponseParser(Headers& headers, std::string& body, size_t max_body)
      : MessageParser(headers, body), max_body_(max_body) {
    this->body_limit(boost::none);
  }
  int status() const { return status_; }
  bool cut() const { return cut_; }

 protected:
  void on_request_impl(boost::beast::http::verb, string_view, string_view, int,
                       BeastError&) override {}
  void on_response_impl(int status, string_view, int, BeastError&) override { status_ = status; }
  size_t OnBody(string_view piece, BeastError& error) override {
    size_t room = max_body_ - body_.size();
    if (piece.size() > room) {
      body_.append(piece.data(), room);
      cut_ = true;
      error = boost::beast::http::error::body_limit;
      return room;
    }
    body_.append(piece.data(), piece.size());
    return piece.size();
  }

 private:
  size_t max_body_;
  int status_ = 0;
  bool cut_ = false;
};

}  // namespace dispatch::http::internal
