// A small network without biases on one tile of samples: forward, and the backward of what the forward left.
#pragma once
#include "gemm.h"

constexpr int kMostLayers = 9;

// Widths from the inputs to the outputs. Matrices of a slot: [outputs][inputs] one after the other.
struct Shape {
    int64_t layers;
    int64_t width[kMostLayers + 1];

    int64_t in(int64_t layer) const { return width[layer]; }
    int64_t out(int64_t layer) const { return width[layer + 1]; }
    int64_t stride(int64_t index) const { return padded(width[index], kLanes); }  // of a row of activations
    int64_t n_weights() const {
        int64_t total = 0;
        for (int64_t l = 0; l < layers; ++l) total += in(l) * out(l);
        return total;
    }
};

// The weights of one slot as the products want them, rows padded with zeros:
// forward [inputs][padded outputs], backward [outputs][padded inputs]; and gradients like the latter.
struct Packed {
    const Shape& shape;
    Scratch memory;
    float* forward[kMostLayers];
    float* backward[kMostLayers];

    static int64_t floats_of(const Shape& shape) {
        int64_t total = 0;
        for (int64_t l = 0; l < shape.layers; ++l)
            total += shape.in(l) * shape.stride(l + 1) + shape.out(l) * shape.stride(l);
        return total;
    }
    explicit Packed(const Shape& of) : shape(of), memory(floats_of(of)) {
        float* at = memory.data();
        for (int64_t l = 0; l < shape.layers; ++l) {
            forward[l] = at, at += shape.in(l) * shape.stride(l + 1);
            backward[l] = at, at += shape.out(l) * shape.stride(l);
        }
    }
    void fill(const float* weights) {
        for (int64_t l = 0; l < shape.layers; ++l)
            for (int64_t j = 0; j < shape.out(l); ++j)
                for (int64_t k = 0; k < shape.in(l); ++k, ++weights)
                    forward[l][k * shape.stride(l + 1) + j] = backward[l][j * shape.stride(l) + k] = *weights;
    }
};

// Gradients of the weights, padded on both sides as the activations are.
struct WeightGradient {
    const Shape& shape;
    Scratch memory;
    float* layer[kMostLayers];

    explicit WeightGradient(const Shape& of) : shape(of), memory(size_of(of)) {
        float* at = memory.data();
        for (int64_t l = 0; l < shape.layers; ++l) layer[l] = at, at += shape.stride(l + 1) * shape.stride(l);
    }
    static int64_t size_of(const Shape& shape) {
        int64_t total = 0;
        for (int64_t l = 0; l < shape.layers; ++l) total += shape.stride(l + 1) * shape.stride(l);
        return total;
    }
    void move_to(float* weights) {
        for (int64_t l = 0; l < shape.layers; ++l)
            for (int64_t j = 0; j < shape.out(l); ++j, weights += shape.in(l))
                memcpy(weights, layer[l] + j * shape.stride(l), size_t(shape.in(l)) * 4);
        memset(memory.data(), 0, size_t(size_of(shape)) * 4);
    }
};

// What a forward leaves for the backward: activation i is [kTile][stride(i)], 0 being the inputs.
struct Activations {
    const Shape& shape;
    Scratch memory;
    float* value[kMostLayers + 1];

    explicit Activations(const Shape& of) : shape(of), memory(size_of(of)) {
        float* at = memory.data();
        for (int64_t i = 0; i <= shape.layers; ++i) value[i] = at, at += kTile * shape.stride(i);
    }
    static int64_t size_of(const Shape& shape) {
        int64_t total = 0;
        for (int64_t i = 0; i <= shape.layers; ++i) total += kTile * shape.stride(i);
        return total;
    }
};

// The order of the comparison keeps NaN: a network that has diverged must not look like one that sees nothing.
inline Floats positive_part(Floats value) { return value < 0.0f ? Floats{} : value; }

// Everything in single precision.
struct Whole {
    static constexpr int64_t kTile = ::kTile;
    struct Session {};
    typedef ::Packed Packed;
    typedef ::Activations Activations;

    // From a.value[0] to a.value[layers].
    static void forward(const Packed& weights, const Activations& a) {
        const Shape& shape = weights.shape;
        for (int64_t l = 0; l < shape.layers; ++l) {
            const int64_t stride = shape.stride(l + 1);
            float* out = a.value[l + 1];
            const auto plain = [=](int64_t row, int64_t column, Floats value, Floats next) {
                float* to = out + row * stride + column;
                store(to, value), store(to + stride, next);
            };
            const auto positive = [=](int64_t row, int64_t column, Floats value, Floats next) {
                plain(row, column, positive_part(value), positive_part(next));
            };
            const float *in = a.value[l], *matrix = weights.forward[l];
            if (l + 1 == shape.layers) product<Singles>(in, shape.stride(l), matrix, stride, shape.in(l), stride, plain);
            else product<Singles>(in, shape.stride(l), matrix, stride, shape.in(l), stride, positive);
        }
    }

    // On entry d.value[layers] holds the gradient of the outputs; on return d.value[0] that of the first `wanted` inputs.
    static void backward(const Packed& weights, const Activations& a, const Activations& d, WeightGradient* gradient,
                         int64_t wanted) {
        const Shape& shape = weights.shape;
        for (int64_t l = shape.layers - 1; l >= 0; --l) {
            const int64_t stride = shape.stride(l), ldd = shape.stride(l + 1);
            const float *slope = d.value[l + 1], *matrix = weights.backward[l];
            if (gradient) outer<Singles>(slope, ldd, a.value[l], stride, gradient->layer[l], stride, shape.out(l), stride);
            float* out = d.value[l];
            const float* reached = a.value[l];
            const auto plain = [=](int64_t row, int64_t column, Floats value, Floats next) {
                float* to = out + row * stride + column;
                store(to, value), store(to + stride, next);
            };
            const auto masked = [=](int64_t row, int64_t column, Floats value, Floats next) {
                const float* at = reached + row * stride + column;
                plain(row, column, floats(at) > 0.0f ? value : Floats{}, floats(at + stride) > 0.0f ? next : Floats{});
            };
            if (l > 0) product<Singles>(slope, ldd, matrix, stride, shape.out(l), stride, masked);
            else if (wanted > 0) product<Singles>(slope, ldd, matrix, stride, shape.out(0), padded(wanted, kLanes), plain);
        }
    }
};
