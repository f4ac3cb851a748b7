// Small dense products on tiles that lie in the cache, one sample a row. The three that a layer needs differ in what is
// broadcast and what is a vector; none needs a transposed copy of the samples.
#pragma once
#include <type_traits>
#include "vectors.h"

constexpr int kTile = 48;  // samples; a multiple of every block height below

// Vectors and rows of a block: accumulators, operands and one spare fill the registers.
constexpr int kWide = kRegisters == 32 ? 4 : 2;
constexpr int height(int vectors) { return kRegisters == 32 ? (vectors == 4 ? 6 : 12) : (vectors == 2 ? 6 : 12); }

// What is multiplied: single floats here; pairs of halves in half_network.h.
struct Singles {
    static constexpr int kSamples = 1;  // of a row of `outer`
    static Floats spread(const float* value) { return all(*value); }
    static Floats add(Floats total, Floats value, Floats row) { return total + value * row; }
};

// out[i][j] = sum over k of a[i][k] * b[k][j], for kRows rows i and kVectors vectors of j; then what `finish` makes
// of two rows at a time. Inlined: to hand over what `finish` holds, block after block, took a tenth of the time.
template <class Math, int kRows, int kVectors, class Stride, class Finish>
[[gnu::always_inline]] inline void product_block(const float* a, Stride lda, const float* b, int64_t ldb, int64_t depth,
                                                 Finish finish) {
    Floats total[kRows][kVectors] = {};
    for (int64_t k = 0; k < depth; ++k) {
        Floats row[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) row[v] = floats(b + k * ldb + v * kLanes);
#pragma GCC unroll 12
        for (int i = 0; i < kRows; ++i) {
            const Floats value = Math::spread(a + i * lda + k);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) total[i][v] = Math::add(total[i][v], value, row[v]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < kRows; i += 2)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) finish(i, v * kLanes, total[i][v], total[i + 1][v]);
}

template <class Math, int kVectors, class Stride, class Finish>
inline void product_columns(const float* a, Stride lda, const float* b, int64_t ldb, int64_t depth, int64_t column,
                            Finish finish) {
    constexpr int kRows = height(kVectors);
    for (int64_t i = 0; i < kTile; i += kRows)
        product_block<Math, kRows, kVectors>(a + i * lda, lda, b + column, ldb, depth,
                                             [=](int row, int at, Floats value, Floats next) {
                                                 finish(i + row, column + at, value, next);
                                             });
}

template <class Math, class Stride, class Finish>
inline void product_of(const float* a, Stride lda, const float* b, int64_t ldb, int64_t depth, int64_t width, Finish finish) {
    int64_t column = 0;
    for (; column + kWide * kLanes <= width; column += kWide * kLanes)
        product_columns<Math, kWide>(a, lda, b, ldb, depth, column, finish);
    if (kWide == 4 && column + 2 * kLanes <= width) {
        product_columns<Math, 2>(a, lda, b, ldb, depth, column, finish);
        column += 2 * kLanes;
    }
    if (column < width) product_columns<Math, 1>(a, lda, b, ldb, depth, column, finish);
}

template <int64_t kStride>
using Known = std::integral_constant<int64_t, kStride>;

// All kTile rows and `width` columns, a multiple of kLanes. The usual strides are known to the compiler: an address with an
// index is not fused with its multiplication (Intel), and blocks of one vector took twice as long.
template <class Math, class Finish>
inline void product(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t depth, int64_t width, Finish finish) {
    switch (lda) {
        case 16: return product_of<Math>(a, Known<16>(), b, ldb, depth, width, finish);
        case 32: return product_of<Math>(a, Known<32>(), b, ldb, depth, width, finish);
        case 64: return product_of<Math>(a, Known<64>(), b, ldb, depth, width, finish);
        default: product_of<Math>(a, lda, b, ldb, depth, width, finish);
    }
}

// to[j][k] += sum over the samples p of d[p][j] * a[p][k], for kRows rows j and kVectors vectors of k.
template <class Math, int kRows, int kVectors>
[[gnu::always_inline]] inline void outer_block(const float* d, int64_t ldd, const float* a, int64_t lda, float* to, int64_t ldt) {
    Floats total[kRows][kVectors] = {};
    for (int64_t p = 0; p < kTile / Math::kSamples; ++p) {
        Floats row[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) row[v] = floats(a + p * lda + v * kLanes);
#pragma GCC unroll 12
        for (int j = 0; j < kRows; ++j) {
            const Floats value = Math::spread(d + p * ldd + j);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) total[j][v] = Math::add(total[j][v], value, row[v]);
        }
    }
#pragma GCC unroll 12
    for (int j = 0; j < kRows; ++j)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
            float* at = to + j * ldt + v * kLanes;
            store(at, floats(at) + total[j][v]);
        }
}

template <class Math, int kVectors>
inline void outer_columns(const float* d, int64_t ldd, const float* a, int64_t lda, float* to, int64_t ldt, int64_t rows) {
    constexpr int kRows = height(kVectors);
    int64_t j = 0;
    for (; j + kRows <= rows; j += kRows) outer_block<Math, kRows, kVectors>(d + j, ldd, a, lda, to + j * ldt, ldt);
    for (; j + 4 <= rows; j += 4) outer_block<Math, 4, kVectors>(d + j, ldd, a, lda, to + j * ldt, ldt);
    for (; j < rows; ++j) outer_block<Math, 1, kVectors>(d + j, ldd, a, lda, to + j * ldt, ldt);
}

// `rows` rows j and `width` columns k, a multiple of kLanes.
template <class Math>
inline void outer(const float* d, int64_t ldd, const float* a, int64_t lda, float* to, int64_t ldt, int64_t rows,
                  int64_t width) {
    int64_t column = 0;
    for (; column + kWide * kLanes <= width; column += kWide * kLanes)
        outer_columns<Math, kWide>(d, ldd, a + column, lda, to + column, ldt, rows);
    if (kWide == 4 && column + 2 * kLanes <= width) {
        outer_columns<Math, 2>(d, ldd, a + column, lda, to + column, ldt, rows);
        column += 2 * kLanes;
    }
    for (; column < width; column += kLanes) outer_columns<Math, 1>(d, ldd, a + column, lda, to + column, ldt, rows);
}
