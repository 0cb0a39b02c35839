// SPDX-License-Identifier: MIT
// Waits that the host can see and end. A text that defines TS_WATCHDOG (TILESCALE_WATCHDOG) has
// them; in any other these are empty.
//
//   TS_DEVICE void wait(const u32* p TS_SITE_PARAMS) {   // the caller's file and line
//     for (Turns turns; turns.more();) {                 // for ever, if nobody watches
//       if (ld(p) == 1) return;
//     }
//     for (Watch watch;; watch.turn("wait", p, seen, 1 TS_SITE)) {
//       ...
//       if (seen == 1) return watch.end();
//
// Most waits end in the first loop, which is as fast as one that nobody watches.
#pragma once
#include <tilescale/ptx/config.cuh>

#ifdef TS_WATCHDOG
#include <tilescale/ptx/watch.cuh>

#define TS_SITE_PARAMS , const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define TS_SITE , file, line

namespace ts {

// Of a wait that has no record yet.
class Turns {
 public:
  TS_METHOD bool more() { return left_-- != 0; }

 private:
  u32 left_ = ptx::kWatchEvery - 1;
};

// Of one thread and one wait that lasts: it has a record, which the host reads while the kernel
// runs. A thread that the host has given up ends.
class Watch {
 public:
  template <class T, class V>
  TS_METHOD void turn(const char* what, const T* p, T seen, V expected, const char* file,
                      int line) {
    if (turns_++ % ptx::kWatchEvery != 0) return;
    if (record_ == nullptr) {
      begin(what, p, expected, file, line);
      if (record_ == nullptr) return;
      ptx::watch_store(&record_->is_signed, (u32)((T)-1 < (T)0));
      ptx::watch_store(&record_->seen, (u64)seen);
      ptx::watch_publish(record_, ticket_);
    } else {
      ptx::watch_store(&record_->seen, (u64)seen);
    }
    if (!ptx::watch_aborted()) return;
    end();
    ptx::exit_thread();
  }

  TS_METHOD void end() {
    if (record_ != nullptr) ptx::watch_end(record_, ticket_);
  }

 private:
  template <class T, class V>
  TS_METHOD void begin(const char* what, const T* p, V expected, const char* file, int line) {
    record_ = ptx::watch_begin(&ticket_);
    if (record_ == nullptr) return;
    ptx::watch_store(&record_->address, (u64)p);
    ptx::watch_store(&record_->expected, (u64)(T)expected);
    ptx::watch_store(&record_->block[0], (u32)bid_x());
    ptx::watch_store(&record_->block[1], (u32)bid_y());
    ptx::watch_store(&record_->block[2], (u32)bid_z());
    ptx::watch_store(&record_->thread, (u32)thread_rank());
    ptx::watch_store(&record_->line, (u32)line);
    text(record_->what, 3, what);
    // The end of a path says more than its beginning.
    int length = 0;
    while (file[length] != 0) ++length;
    text(record_->file, 12, length > 95 ? file + (length - 95) : file);
  }

  TS_METHOD static void text(u64* to, int words, const char* from) {
    bool more = true;
#pragma unroll 1
    for (int w = 0; w < words; ++w) {
      u64 word = 0;
      for (int i = 0; i < 8 && more; ++i) {
        const char c = (w == words - 1 && i == 7) ? 0 : from[w * 8 + i];
        word |= (u64)(u8)c << (i * 8);
        more = c != 0;
      }
      ptx::watch_store(to + w, word);
    }
  }

  u32 turns_ = 0;
  WaitRecord* record_ = nullptr;
  u64 ticket_ = 0;
};

}  // namespace ts
#else
#define TS_SITE_PARAMS
#define TS_SITE

namespace ts {

class Turns {
 public:
  TS_METHOD bool more() { return true; }
};

class Watch {
 public:
  template <class T, class V>
  TS_METHOD void turn(const char*, const T*, T, V) {}
  TS_METHOD void end() {}
};

}  // namespace ts
#endif
