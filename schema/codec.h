// Between operations and the bytes of a record.
//
// A record's bytes, the same in the region and on disk:
//
//   0   u64  session     who wrote it (0: the daemon)
//   8   u64  op_no       the session's running number, from 1: with `session` names the record
//   16  i64  time_us     the writer's UTC clock; for people, never for order
//   24       Cap'n Proto message `Record` (record.capnp): one segment, without a segment table
//
// Length and checksum belong to whoever carries the record (shm/ and journal/), which never look
// inside.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "schema/operation.h"

namespace oj::schema {

constexpr std::size_t kRecordHeaderBytes = 24;
// Longer records are not even encoded; what a journal accepts is far less (a chunk run).
constexpr std::size_t kEncodedBytesMax = 256 * 1024 * 1024;

struct RecordHeader {
  SessionId session = 0;
  std::uint64_t op_no = 0;
  std::int64_t time_us = 0;
};

// Builds records. Not thread-safe; keep one a thread: after a few records it allocates nothing for
// small ones.
class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // The bytes of one record with `operations` (at least one; atomic together). A multiple of 8
  // bytes, valid until the next call. The session, op_no and time are written by stamp() later.
  // Empty when the record would be longer than kEncodedBytesMax.
  std::span<std::byte> encode(std::span<const Operation> operations);
  std::span<std::byte> encode(const Operation& operation) { return encode({&operation, 1}); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Writes the header into bytes made by an Encoder. REQUIRES: record.size() >= kRecordHeaderBytes.
void stamp(std::span<std::byte> record, const RecordHeader& header);
// The header of any bytes. REQUIRES: as stamp().
RecordHeader header_of(std::span<const std::byte> record);

struct DecodedRecord {
  RecordHeader header;
  std::span<const Operation> operations;  // at least one
};

// Reads records. Not thread-safe; keep one a thread.
class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Input is bytes that others wrote: any content is an answer or an error of code kCorrupt, never
  // a crash. An operation of a union arm newer than this build is kIncompatible. What is returned
  // borrows from `record` (unchanging while it is used; copied first if it is not 8-aligned) and
  // from this Decoder, until its next call.
  Result<DecodedRecord> decode(std::span<const std::byte> record);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace oj::schema
