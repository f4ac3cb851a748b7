// Products of halves by the matrix unit (AMX) of Intel's servers, sixteen times the rate of single floats. Its registers are
// tiles of 16 rows and 64 bytes: of halves as rows (16 samples by 32 inputs), of pairs of halves (32 inputs by 16 outputs),
// or of sums (16 by 16 floats). They are named by their number, as GCC wants it: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 pairs.
#pragma once
#include "vectors.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#define HAS_TILES

constexpr int64_t kTileHalves = 32;  // in a row

// Whether this process may use the unit; the system wants to be asked once, for its larger frames of signals.
inline bool tiles_work() {
    constexpr int kAsk = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const bool work = syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
    return work;
}

// A thread's tiles, all of full size, while this lives.
struct TileSession {
    TileSession() {
        struct {
            uint8_t palette = 1, start = 0, unused[14] = {};
            uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } setting;
        _tile_loadconfig(&setting);
    }
    ~TileSession() { _tile_release(); }
    TileSession(const TileSession&) = delete;
    TileSession& operator=(const TileSession&) = delete;
};

// Up to two tiles of rows by two of pairs, into four tiles of sums. A stride is in floats; null: there is no second.
struct Tiles {
    const float* first;
    const float* second;
    int64_t stride;
};

inline void multiply_tiles(Tiles rows, Tiles pairs) {
    asm volatile("" ::: "memory");  // what was stored is there: GCC does not know that a tile is read
    _tile_loadd(4, rows.first, rows.stride * 4);
    _tile_loadd(6, pairs.first, pairs.stride * 4);
    _tile_dpbf16ps(0, 4, 6);
    if (pairs.second) {
        _tile_loadd(7, pairs.second, pairs.stride * 4);
        _tile_dpbf16ps(1, 4, 7);
    }
    if (!rows.second) return;
    _tile_loadd(5, rows.second, rows.stride * 4);
    _tile_dpbf16ps(2, 5, 6);
    if (pairs.second) _tile_dpbf16ps(3, 5, 7);
}

inline void clear_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

inline void load_sums(const float* from, int64_t stride, bool lower, bool right) {
    asm volatile("" ::: "memory");
    _tile_loadd(0, from, stride * 4);
    if (right) _tile_loadd(1, from + 16, stride * 4);
    if (lower) _tile_loadd(2, from + 16 * stride, stride * 4);
    if (lower && right) _tile_loadd(3, from + 16 * stride + 16, stride * 4);
}

inline void store_sums(float* to, int64_t stride, bool lower, bool right) {
    _tile_stored(0, to, stride * 4);
    if (right) _tile_stored(1, to + 16, stride * 4);
    if (lower) _tile_stored(2, to + 16 * stride, stride * 4);
    if (lower && right) _tile_stored(3, to + 16 * stride + 16, stride * 4);
}

// 16 rows of 16 pairs become 16 rows of what were columns: each step swaps the off-diagonal blocks of one size.
inline void transpose(const float* from, int64_t stride, float* to, int64_t to_stride) {
    Ints rows[16];
    for (int i = 0; i < 16; ++i) rows[i] = load<Ints>(from + i * stride);
    constexpr Ints kLane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#pragma GCC unroll 4
    for (int size = 8; size; size /= 2) {
        const Ints right = (kLane & size) != 0, low = right ? kLane - size + 16 : kLane, high = right ? kLane + 16 : kLane + size;
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            if (i & size) continue;
            const __m512i upper = __m512i(rows[i]), lower = __m512i(rows[i + size]);
            rows[i] = Ints(_mm512_permutex2var_epi32(upper, __m512i(low), lower));
            rows[i + size] = Ints(_mm512_permutex2var_epi32(upper, __m512i(high), lower));
        }
    }
    for (int i = 0; i < 16; ++i) store(to + i * to_stride, rows[i]);
}

struct ByTiles {
    static constexpr int64_t kTile = 64, kDepth = kTileHalves;
    typedef TileSession Session;

    // As `product` of gemm.h, with everything padded with zeros: `depth` counts pairs, a multiple of 16.
    template <class Finish>
    static void product(const float* rows, int64_t ldr, const float* matrix, int64_t ldm, int64_t depth, int64_t width,
                        Finish finish) {
        alignas(64) float sums[32 * 32];
        for (int64_t column = 0; column < width; column += 32) {
            const bool right = column + 16 < width;
            for (int64_t i = 0; i < kTile; i += 32) {
                clear_sums();
                for (int64_t k = 0; k < depth; k += 16) {
                    const float *a = rows + i * ldr + k, *b = matrix + k * ldm + column;
                    multiply_tiles({a, a + 16 * ldr, ldr}, {b, right ? b + 16 : nullptr, ldm});
                }
                store_sums(sums, 32, true, right);
                for (int64_t at = 0; at < (right ? 32 : 16); at += 16)
                    for (int64_t row = 0; row < 32; row += 2)
                        finish(i + row, column + at, floats(sums + row * 32 + at), floats(sums + row * 32 + 32 + at));
            }
        }
    }

    // As `outer` of gemm.h, of pairs of samples: the slopes are turned, so that a row of them is a row of the sums.
    static void outer(const float* d, int64_t ldd, const float* a, int64_t lda, float* to, int64_t ldt, int64_t rows,
                      int64_t width) {
        constexpr int64_t kPairs = kTile / 2;
        alignas(64) float turned[32 * kPairs];  // 32 rows of `to`, all samples
        for (int64_t j = 0; j < rows; j += 32) {
            const bool lower = j + 16 < rows;
            for (int64_t p = 0; p < kPairs; p += 16)
                for (int64_t row = 0; row < (lower ? 32 : 16); row += 16)
                    transpose(d + p * ldd + j + row, ldd, turned + row * kPairs + p, kPairs);
            for (int64_t column = 0; column < width; column += 32) {
                const bool right = column + 16 < width;
                float* sums = to + j * ldt + column;
                load_sums(sums, ldt, lower, right);
                for (int64_t p = 0; p < kPairs; p += 16) {
                    const float *x = turned + p, *b = a + p * lda + column;
                    multiply_tiles({x, lower ? x + 16 * kPairs : nullptr, kPairs}, {b, right ? b + 16 : nullptr, lda});
                }
                store_sums(sums, ldt, lower, right);
            }
        }
    }
};
#else
inline bool tiles_work() { return false; }
struct ByTiles;  // not on this CPU
#endif

// Whether halves are faster than single floats: Intel's vectors take two steps for a pair, only its tiles gain.
inline bool halves_gain() {
#if defined(__AVX512BF16__)
    return tiles_work() || !__builtin_cpu_is("intel");
#else
    return false;
#endif
}
