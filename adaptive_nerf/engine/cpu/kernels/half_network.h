// The same network in halves (bfloat16: a float without its lower 16 bits), where the CPU multiplies pairs of them at once.
// Sums stay in single precision, and so do inputs, outputs and gradients of the weights.
// Every activation is kept twice: `rows` [kTile][row_stride] halves, in which neighbours of a row are pairs, and `pairs`
// [kTile / 2][stride], in which two rows are, as sums over the samples want them. Both are counted in floats.
// A `Way` is what multiplies: vectors, or the tiles of tiles.h. It says how many samples make a tile, and to how many halves
// what is summed over is padded with zeros.
#pragma once
#include "network.h"
#include "tiles.h"

#if defined(__AVX512BF16__)
struct HalfPairs {
    static constexpr int kSamples = 2;
    static Floats spread(const float* pair) { return Floats(_mm512_set1_epi32(load<int32_t>(pair))); }
    static Floats add(Floats total, Floats value, Floats row) {
        return Floats(_mm512_dpbf16_ps(__m512(total), __m512bh(value), __m512bh(row)));
    }
};

// Pairs of halves by vectors, at twice the rate of single floats where a CPU does not take two steps for it.
struct ByVectors {
    static constexpr int64_t kTile = ::kTile, kDepth = 2;
    struct Session {};

    template <class Finish>
    static void product(const float* rows, int64_t ldr, const float* matrix, int64_t ldm, int64_t depth, int64_t width,
                        Finish finish) {
        ::product<HalfPairs>(rows, ldr, matrix, ldm, depth, width, finish);
    }
    static void outer(const float* d, int64_t ldd, const float* a, int64_t lda, float* to, int64_t ldt, int64_t rows,
                      int64_t width) {
        ::outer<HalfPairs>(d, ldd, a, lda, to, ldt, rows, width);
    }
};

typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
inline Halves rounded(Floats value) { return Halves(_mm512_cvtneps_pbh(__m512(value))); }
// GCC 12 takes five steps for a conversion, and warns of the one without a mask.
inline Words widened(Halves value) { return Words(_mm512_maskz_cvtepu16_epi32(0xffff, __m256i(value))); }

// Two rows of kLanes: each of them in halves, and both as pairs.
inline void store_halves(float* rows, int64_t ldr, float* pairs, int64_t stride, int64_t row, int64_t column, Floats value,
                         Floats next) {
    const Halves low = rounded(value), high = rounded(next);
    float* to = rows + row * ldr + column / 2;
    store(to, low), store(to + ldr, high);
    store(pairs + row / 2 * stride + column, widened(low) | widened(high) << 16);
}
inline Floats halves(const float* from) { return Floats(widened(load<Halves>(from)) << 16); }

// Matrices as pairs of the index that is summed over: forward [inputs / 2][padded outputs], backward
// [outputs / 2][padded inputs].
template <class Way>
struct PackedHalves {
    const Shape& shape;
    Scratch memory;
    uint16_t* forward[kMostLayers];
    uint16_t* backward[kMostLayers];

    explicit PackedHalves(const Shape& of) : shape(of), memory(size_of(of)) {
        uint16_t* at = reinterpret_cast<uint16_t*>(memory.data());
        for (int64_t l = 0; l < shape.layers; ++l) {
            forward[l] = at, at += padded(shape.in(l), Way::kDepth) * shape.stride(l + 1);
            backward[l] = at, at += padded(shape.out(l), Way::kDepth) * shape.stride(l);
        }
    }
    static int64_t size_of(const Shape& shape) {
        int64_t halves = 0;
        for (int64_t l = 0; l < shape.layers; ++l)
            halves += padded(shape.in(l), Way::kDepth) * shape.stride(l + 1) + padded(shape.out(l), Way::kDepth) * shape.stride(l);
        return halves / 2;
    }
    void fill(const float* weights) {
        for (int64_t l = 0; l < shape.layers; ++l)
            for (int64_t j = 0; j < shape.out(l); ++j)
                for (int64_t k = 0; k < shape.in(l); ++k, ++weights) {
                    put<1>(forward[l] + (k / 2 * shape.stride(l + 1) + j) * 2 + k % 2, get<1>(weights));
                    put<1>(backward[l] + (j / 2 * shape.stride(l) + k) * 2 + j % 2, get<1>(weights));
                }
    }
};

// Inputs and outputs also in single precision, as `value[0]` and `value[layers]`.
template <class Way>
struct HalfActivations {
    static constexpr int64_t kTile = Way::kTile;
    const Shape& shape;
    Scratch memory;
    float* value[kMostLayers + 1] = {};
    float* rows[kMostLayers + 1];
    float* pairs[kMostLayers + 1];

    explicit HalfActivations(const Shape& of) : shape(of), memory(size_of(of)) {
        float* at = memory.data();
        for (int64_t i = 0; i <= shape.layers; ++i) {
            rows[i] = at, at += kTile * row_stride(i);
            pairs[i] = at, at += kTile * shape.stride(i) / 2;
        }
        value[0] = at, value[shape.layers] = at + kTile * shape.stride(0);
    }
    static int64_t size_of(const Shape& shape) {
        int64_t total = kTile * (shape.stride(0) + shape.stride(shape.layers));
        for (int64_t i = 0; i <= shape.layers; ++i)
            total += kTile * (padded(shape.stride(i), Way::kDepth) + shape.stride(i)) / 2;
        return total;
    }
    int64_t row_stride(int64_t index) const { return padded(shape.stride(index), Way::kDepth) / 2; }
    void halve(int64_t index) const {
        const int64_t stride = shape.stride(index);
        for (int64_t row = 0; row < kTile; row += 2)
            for (int64_t column = 0; column < stride; column += kLanes) {
                const float* from = value[index] + row * stride + column;
                store_halves(rows[index], row_stride(index), pairs[index], stride, row, column, floats(from),
                             floats(from + stride));
            }
    }
};

template <class Way>
struct Halved {
    static constexpr int64_t kTile = Way::kTile;
    typedef typename Way::Session Session;
    typedef PackedHalves<Way> Packed;
    typedef HalfActivations<Way> Activations;

    static void forward(const Packed& weights, const Activations& a) {
        const Shape& shape = weights.shape;
        a.halve(0);
        for (int64_t l = 0; l < shape.layers; ++l) {
            const int64_t stride = shape.stride(l + 1), ldr = a.row_stride(l + 1);
            float *out = a.value[l + 1], *rows = a.rows[l + 1], *pairs = a.pairs[l + 1];
            const auto plain = [=](int64_t row, int64_t column, Floats value, Floats next) {
                float* to = out + row * stride + column;
                store(to, value), store(to + stride, next);
            };
            const auto positive = [=](int64_t row, int64_t column, Floats value, Floats next) {
                store_halves(rows, ldr, pairs, stride, row, column, positive_part(value), positive_part(next));
            };
            multiply(a, l, weights.forward[l], stride, shape.in(l), stride, l + 1 == shape.layers, plain, positive);
        }
    }

    static void backward(const Packed& weights, const Activations& a, const Activations& d, WeightGradient* gradient,
                         int64_t wanted) {
        const Shape& shape = weights.shape;
        d.halve(shape.layers);
        for (int64_t l = shape.layers - 1; l >= 0; --l) {
            const int64_t stride = shape.stride(l), ldr = d.row_stride(l);
            if (gradient)
                Way::outer(d.pairs[l + 1], shape.stride(l + 1), a.pairs[l], stride, gradient->layer[l], stride, shape.out(l),
                           stride);
            float *out = d.value[l], *rows = d.rows[l], *pairs = d.pairs[l];
            const float* reached = a.rows[l];
            const auto plain = [=](int64_t row, int64_t column, Floats value, Floats next) {
                float* to = out + row * stride + column;
                store(to, value), store(to + stride, next);
            };
            const auto masked = [=](int64_t row, int64_t column, Floats value, Floats next) {
                const float* at = reached + row * ldr + column / 2;
                store_halves(rows, ldr, pairs, stride, row, column, halves(at) > 0.0f ? value : Floats{},
                             halves(at + ldr) > 0.0f ? next : Floats{});
            };
            const int64_t width = l > 0 ? stride : padded(wanted, kLanes);
            if (width) multiply(d, l + 1, weights.backward[l], stride, shape.out(l), width, l == 0, plain, masked);
        }
    }

  private:
    // Rows of `from.rows[index]` by a matrix; the first or last layer ends in single precision.
    template <class Plain, class Inner>
    static void multiply(const Activations& from, int64_t index, const uint16_t* matrix, int64_t ldm, int64_t depth,
                         int64_t width, bool at_end, Plain plain, Inner inner) {
        const float *rows = from.rows[index], *pairs = reinterpret_cast<const float*>(matrix);
        const int64_t ldr = from.row_stride(index), steps = padded(depth, Way::kDepth) / 2;
        if (at_end) Way::product(rows, ldr, pairs, ldm, steps, width, plain);
        else Way::product(rows, ldr, pairs, ldm, steps, width, inner);
    }
};
#endif
