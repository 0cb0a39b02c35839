// SPDX-License-Identifier: MIT
// Scalar types and memory spaces.
//
// A dtype is a DLDataType. Two private codes have no DLPack name: tf32 (stored as 32 bits, of which
// the matrix units read 19) and e2m1 unpacked to one byte. IR text uses short names: f16, bf16,
// f32, i8, u4, e4m3, e5m2, tf32, bool; lanes are written f16x8. The language's names (float16, …)
// parse as well.
#pragma once

#include <tvm/ffi/dtype.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tilescale::ir {

using DataType = DLDataType;

inline constexpr uint8_t kTf32Code = 64;
inline constexpr uint8_t kE2M1UnpackedCode = 65;

constexpr DataType MakeType(int code, int bits, int lanes = 1) {
  return DataType{static_cast<uint8_t>(code), static_cast<uint8_t>(bits),
                  static_cast<uint16_t>(lanes)};
}
constexpr DataType Int(int bits, int lanes = 1) {
  return MakeType(kDLInt, bits, lanes);
}
constexpr DataType UInt(int bits, int lanes = 1) {
  return MakeType(kDLUInt, bits, lanes);
}
constexpr DataType Float(int bits, int lanes = 1) {
  return MakeType(kDLFloat, bits, lanes);
}
constexpr DataType BFloat16() {
  return MakeType(kDLBfloat, 16);
}
constexpr DataType Bool(int lanes = 1) {
  return MakeType(kDLBool, 8, lanes);
}
constexpr DataType Handle() {
  return MakeType(kDLOpaqueHandle, 64);
}
constexpr DataType Tf32() {
  return MakeType(kTf32Code, 32);
}
constexpr DataType E4M3() {
  return MakeType(kDLFloat8_e4m3fn, 8);
}
constexpr DataType E5M2() {
  return MakeType(kDLFloat8_e5m2, 8);
}
constexpr DataType Void() {
  return MakeType(kDLOpaqueHandle, 0, 0);
}

constexpr bool IsInt(DataType t) {
  return t.code == kDLInt;
}
constexpr bool IsUInt(DataType t) {
  return t.code == kDLUInt;
}
constexpr bool IsBool(DataType t) {
  return t.code == kDLBool;
}
constexpr bool IsInteger(DataType t) {
  return IsInt(t) || IsUInt(t);
}
constexpr bool IsHandle(DataType t) {
  return t.code == kDLOpaqueHandle;
}
constexpr bool IsFloat(DataType t) {
  return !IsInteger(t) && !IsBool(t) && !IsHandle(t);
}
constexpr bool IsFp8(DataType t) {
  return IsFloat(t) && t.bits == 8;
}
constexpr bool SameType(DataType a, DataType b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}
constexpr DataType WithLanes(DataType t, int lanes) {
  return MakeType(t.code, t.bits, lanes);
}
constexpr DataType Element(DataType t) {
  return WithLanes(t, 1);
}
// Bytes of one value, lanes included; sub-byte types round up.
constexpr int Bytes(DataType t) {
  return (t.bits * t.lanes + 7) / 8;
}

// Short text form, "f16"; and the language's, "float16". Parse takes either.
std::string ShortName(DataType t);
std::string LanguageName(DataType t);
std::optional<DataType> ParseType(std::string_view text);
// Binary arithmetic's result type: the wider of one kind, a float before an integer.
DataType Promote(DataType a, DataType b);

// Where a Storage lives.
enum class Space : uint8_t { kGlobal, kShared, kMbar, kFrag, kLocal, kVar, kDesc, kTmem };
// What a Storage comes from; tells what may alias and whether a tensor map can exist.
enum class Root : uint8_t { kParam, kAlloc, kWorkspace, kPointer, kHeap };

const char* SpaceName(Space space);
const char* RootName(Root root);
std::optional<Space> ParseSpace(std::string_view text);
std::optional<Root> ParseRoot(std::string_view text);
constexpr bool IsOnChip(Space s) {
  return s != Space::kGlobal;
}
// Memory that other threads see.
constexpr bool IsMemory(Space s) {
  return s == Space::kGlobal || s == Space::kShared;
}
// frag, local and var live in registers.
constexpr bool IsRegister(Space s) {
  return s == Space::kFrag || s == Space::kLocal || s == Space::kVar || s == Space::kDesc;
}

}  // namespace tilescale::ir
