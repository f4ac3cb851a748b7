// How work is cut: into pieces that do not depend on how many threads there are, taken by whoever is free.
#pragma once
#include <cstdint>

// What is taken at a time; how many items that makes, library.py asks for here.
constexpr int64_t kRaysTogether = 64, kNumbersTogether = 1 << 14;

// Neighbouring rows of one slot.
struct Piece {
    int64_t slot, begin, end;
};

// The next of `count` items, or -1: several threads run the same function on the same arguments.
inline int64_t take(int64_t* next, int64_t count) {
    const int64_t item = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
    return item < count ? item : -1;
}

extern "C" {
int64_t rays_together() { return kRaysTogether; }
int64_t numbers_together() { return kNumbersTogether; }

// Cut rows [0, n) into pieces of one slot and at most `longest` rows. Returns how many, -1 where there would be more than
// `room`, -2 where a slot is out of range.
int64_t cut_pieces(const int32_t* slots, int64_t n, int64_t n_slots, int64_t longest, Piece* pieces, int64_t room) {
    int64_t count = 0, begin = 0;
    while (begin < n) {
        const int32_t slot = slots ? slots[begin] : 0;
        if (slot < 0 || slot >= n_slots) return -2;
        const int64_t limit = begin + longest < n ? begin + longest : n;
        int64_t end = slots ? begin + 1 : limit;
        while (end < limit && slots[end] == slot) ++end;
        if (count == room) return -1;
        pieces[count++] = {slot, begin, end};
        begin = end;
    }
    return count;
}
}
