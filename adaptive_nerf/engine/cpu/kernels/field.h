// The field: density trunk and colour head, tile by tile; the backward computes the activations anew.
//   features    [levels][n][F]          of the trunk
//   trunk out   [n][16]                 the density, then 15 features of the place
//   directions  [n_rays][16 + code]
//   colour out  [n][3];  field out [n][4]: the density, then the colour
#pragma once
#include "half_network.h"
#include "work.h"

constexpr int kGeometry = 16;
constexpr float kDensest = 11.0f;

struct FieldArgs {
    int64_t next;
    int64_t n;
    const Piece* pieces;
    int64_t n_pieces;
    Shape trunk, head;             // either may have no layers: not part of this operation
    const float* trunk_weights;    // [n_slots][n_weights]
    const float* head_weights;     // [n_slots or 1][n_weights]
    int64_t head_slots;
    float density_bias, unused;
    int64_t half;                  // networks in halves
    int64_t half_features;         // features and their gradient are halves
    const void* features;
    int64_t n_levels, n_features, features_stride;
    const float* place;            // [n][16], inputs of a head without a trunk
    int64_t place_stride;
    const float* directions;
    int64_t directions_width;
    const int32_t* rays;           // [n] the row of `directions`, or null: its own
    float* out;
    const float* gradient;         // of `out`
    void* features_gradient;       // [levels][n][F]; may be `features` itself
    int64_t features_gradient_stride;
    float* place_gradient;         // [n][16]
    float* directions_gradient;    // [n][16 + code], a row for each row of `out`; or null
    float* trunk_gradient;         // [n_pieces][n_weights], summed up afterwards; or null: not wanted
    float* head_gradient;
};

// `count` rows of `width` numbers, floats or halves on either side.
template <int kWidth, class From, class To>
inline void copy_rows_of(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t count) {
    for (int64_t i = 0; i < count; ++i) put<kWidth>(to + i * to_stride, get<kWidth>(from + i * from_stride));
}
template <class From, class To>
inline void copy_rows(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t count, int64_t width) {
    if (width == 2) return copy_rows_of<2>(from, from_stride, to, to_stride, count);
    if (width == 4) return copy_rows_of<4>(from, from_stride, to, to_stride, count);
    if (width == 8) return copy_rows_of<8>(from, from_stride, to, to_stride, count);
    for (int64_t k = 0; k < width; ++k) copy_rows_of<1>(from + k, from_stride, to + k, to_stride, count);
}

template <class Arithmetic>
struct FieldTile {
    static constexpr int64_t kTile = Arithmetic::kTile;
    const FieldArgs& a;
    const bool with_trunk, with_head;
    typename Arithmetic::Packed trunk, head;
    typename Arithmetic::Activations trunk_values, head_values;
    int64_t packed_slot = -1;

    explicit FieldTile(const FieldArgs& args)
        : a(args), with_trunk(args.trunk.layers > 0), with_head(args.head.layers > 0), trunk(args.trunk),
          head(args.head), trunk_values(args.trunk), head_values(args.head) {}

    int64_t outputs() const { return !with_head ? kGeometry : with_trunk ? 4 : 3; }

    void use_slot(int64_t slot) {
        if (slot == packed_slot) return;
        if (with_trunk) trunk.fill(a.trunk_weights + slot * a.trunk.n_weights());
        if (with_head && (packed_slot < 0 || a.head_slots > 1))
            head.fill(a.head_weights + (a.head_slots > 1 ? slot : 0) * a.head.n_weights());
        packed_slot = slot;
    }

    // Rows past `count` are zero: they must add nothing to the gradient of the weights.
    void read_features(int64_t begin, int64_t count) {
        const int64_t stride = a.trunk.stride(0), width = a.n_features;
        float* to = trunk_values.value[0];
        for (int64_t l = 0; l < a.n_levels; ++l, to += width) {
            const int64_t at = l * a.features_stride + begin * width;
            if (a.half_features) copy_level(static_cast<const uint16_t*>(a.features) + at, to, count);
            else copy_level(static_cast<const float*>(a.features) + at, to, count);
        }
        memset(trunk_values.value[0] + count * stride, 0, size_t((kTile - count) * stride) * 4);
    }

    // Meanwhile the next tile's are fetched: as many short stretches as there are levels, which the CPU does not foresee.
    template <class Number>
    void copy_level(const Number* from, float* to, int64_t count) const {
        constexpr int64_t kLine = 64 / sizeof(Number);
        const int64_t size = kTile * a.n_features;
        for (int64_t i = 0; i < size; i += kLine) __builtin_prefetch(from + size + i);
        copy_rows(from, a.n_features, to, a.trunk.stride(0), count, a.n_features);
    }

    void run_trunk(int64_t begin, int64_t count) {
        read_features(begin, count);
        Arithmetic::forward(trunk, trunk_values);
        float* out = trunk_values.value[a.trunk.layers];
        for (int64_t i = 0; i < kTile; i += kLanes) {
            Floats raw{};
            for (int lane = 0; lane < kLanes; ++lane) raw[lane] = out[(i + lane) * kGeometry] + a.density_bias;
            raw = exponential(raw > kDensest ? all(kDensest) : raw);  // NaN stays
            for (int lane = 0; lane < kLanes; ++lane) out[(i + lane) * kGeometry] = raw[lane];
        }
    }

    void run_head(int64_t begin, int64_t count) {
        const int64_t stride = a.head.stride(0);
        float* in = head_values.value[0];
        memset(in + count * stride, 0, size_t((kTile - count) * stride) * 4);
        for (int64_t i = 0; i < count; ++i) {
            const float* place = with_trunk ? trunk_values.value[a.trunk.layers] + i * kGeometry
                                            : a.place + (begin + i) * a.place_stride;
            const int64_t ray = a.rays ? a.rays[begin + i] : begin + i;
            memcpy(in + i * stride, place, kGeometry * 4);
            if (with_trunk) in[i * stride] = 1;
            memcpy(in + i * stride + kGeometry, a.directions + ray * a.directions_width, size_t(a.directions_width) * 4);
        }
        Arithmetic::forward(head, head_values);
        float* out = head_values.value[a.head.layers];
        const int64_t ldo = a.head.stride(a.head.layers);
        for (int64_t i = 0; i < count; i += 1)
            for (int64_t at = 0; at < 3; at += kLanes) {
                const Floats v = 1.0f / (1.0f + exponential(-floats(out + i * ldo + at)));
                store(out + i * ldo + at, v);
            }
    }

    void forward(int64_t begin, int64_t count) {
        if (with_trunk) run_trunk(begin, count);
        if (with_head) run_head(begin, count);
    }

    void write_out(int64_t begin, int64_t count) const {
        float* to = a.out + begin * outputs();
        if (!with_head) {
            memcpy(to, trunk_values.value[a.trunk.layers], size_t(count) * kGeometry * 4);
            return;
        }
        const float* density = with_trunk ? trunk_values.value[a.trunk.layers] : nullptr;
        const float* rgb = head_values.value[a.head.layers];
        const int64_t ldo = a.head.stride(a.head.layers);
        for (int64_t i = 0; i < count; ++i) {
            if (density) *to++ = density[i * kGeometry];
            for (int c = 0; c < 3; ++c) *to++ = rgb[i * ldo + c];
        }
    }
};

template <class Arithmetic>
struct FieldBackward {
    static constexpr int64_t kTile = Arithmetic::kTile;
    FieldTile<Arithmetic> tile;
    const FieldArgs& a;
    typename Arithmetic::Activations trunk_slopes, head_slopes;
    WeightGradient trunk_gradient, head_gradient;

    explicit FieldBackward(const FieldArgs& args)
        : tile(args), a(args), trunk_slopes(args.trunk), head_slopes(args.head), trunk_gradient(args.trunk),
          head_gradient(args.head) {}

    void through_head(int64_t begin, int64_t count) {
        const int64_t ldo = a.head.stride(a.head.layers), stride = a.head.stride(0), given = tile.outputs();
        const float* rgb = tile.head_values.value[a.head.layers];
        float* slope = head_slopes.value[a.head.layers];
        memset(slope, 0, size_t(kTile * ldo) * 4);
        for (int64_t i = 0; i < count; ++i)
            for (int c = 0; c < 3; ++c) {
                const float v = rgb[i * ldo + c];
                slope[i * ldo + c] = a.gradient[(begin + i) * given + given - 3 + c] * v * (1 - v);
            }
        const int64_t wanted = a.directions_gradient ? a.head.width[0] : kGeometry;
        Arithmetic::backward(tile.head, tile.head_values, head_slopes, a.head_gradient ? &head_gradient : nullptr, wanted);
        const float* in = head_slopes.value[0];
        for (int64_t i = 0; i < count; ++i) {
            if (a.directions_gradient)
                memcpy(a.directions_gradient + (begin + i) * a.directions_width, in + i * stride + kGeometry,
                       size_t(a.directions_width) * 4);
            if (!tile.with_trunk) memcpy(a.place_gradient + (begin + i) * kGeometry, in + i * stride, kGeometry * 4);
        }
    }

    void through_trunk(int64_t begin, int64_t count) {
        float* slope = trunk_slopes.value[a.trunk.layers];
        const float* out = tile.trunk_values.value[a.trunk.layers];
        const int64_t stride = a.head.stride(0), given = tile.outputs();
        memset(slope + count * kGeometry, 0, size_t((kTile - count) * kGeometry) * 4);
        for (int64_t i = 0; i < count; ++i) {
            const float* from = a.gradient + (begin + i) * given;
            memcpy(slope + i * kGeometry, tile.with_head ? head_slopes.value[0] + i * stride : from, kGeometry * 4);
            const float density = out[i * kGeometry];
            slope[i * kGeometry] = density < densest ? from[0] * density : 0;
        }
        Arithmetic::backward(tile.trunk, tile.trunk_values, trunk_slopes, a.trunk_gradient ? &trunk_gradient : nullptr,
                             a.features_gradient ? a.trunk.width[0] : 0);
        if (a.features_gradient) write_features(begin, count);
    }

    void write_features(int64_t begin, int64_t count) const {
        const int64_t stride = a.trunk.stride(0), width = a.n_features;
        const float* from = trunk_slopes.value[0];
        for (int64_t l = 0; l < a.n_levels; ++l, from += width) {
            const int64_t at = l * a.features_gradient_stride + begin * width;
            if (a.half_features) copy_rows(from, stride, static_cast<uint16_t*>(a.features_gradient) + at, width, count, width);
            else copy_rows(from, stride, static_cast<float*>(a.features_gradient) + at, width, count, width);
        }
    }

    void run(const Piece& piece, int64_t number) {
        tile.use_slot(piece.slot);
        for (int64_t begin = piece.begin; begin < piece.end; begin += kTile) {
            const int64_t count = piece.end - begin < kTile ? piece.end - begin : kTile;
            tile.forward(begin, count);
            if (tile.with_head) through_head(begin, count);
            if (tile.with_trunk) through_trunk(begin, count);
        }
        if (a.trunk_gradient) trunk_gradient.move_to(a.trunk_gradient + number * a.trunk.n_weights());
        if (a.head_gradient) head_gradient.move_to(a.head_gradient + number * a.head.n_weights());
    }

    const float densest = exponential(all(kDensest))[0];
};

template <class Arithmetic>
inline void forward_pieces(FieldArgs* args) {
    constexpr int64_t kTile = Arithmetic::kTile;
    [[maybe_unused]] const typename Arithmetic::Session session;
    FieldTile<Arithmetic> tile(*args);
    for (int64_t item; (item = take(&args->next, args->n_pieces)) >= 0;) {
        const Piece& piece = args->pieces[item];
        tile.use_slot(piece.slot);
        for (int64_t begin = piece.begin; begin < piece.end; begin += kTile) {
            const int64_t count = piece.end - begin < kTile ? piece.end - begin : kTile;
            tile.forward(begin, count);
            tile.write_out(begin, count);
        }
    }
}

template <class Arithmetic>
inline void backward_pieces(FieldArgs* args) {
    [[maybe_unused]] const typename Arithmetic::Session session;
    FieldBackward<Arithmetic> backward(*args);
    for (int64_t item; (item = take(&args->next, args->n_pieces)) >= 0;) backward.run(args->pieces[item], item);
}

// Calls `work` with what the networks are worked out in.
template <class Work>
inline void by_arithmetic([[maybe_unused]] bool half, Work work) {
#if defined(HAS_TILES)
    if (half && tiles_work()) return work(Halved<ByTiles>());
#endif
#if defined(__AVX512BF16__)
    if (half) return work(Halved<ByVectors>());
#endif
    work(Whole());
}

extern "C" {
int64_t has_halves() { return halves_gain(); }

void field_forward(FieldArgs* args) {
    by_arithmetic(args->half, [&](auto arithmetic) { forward_pieces<decltype(arithmetic)>(args); });
}

void field_backward(FieldArgs* args) {
    by_arithmetic(args->half, [&](auto arithmetic) { backward_pieces<decltype(arithmetic)>(args); });
}

// out[slot] = the sum over the pieces of that slot, in their order; everything goes to slot 0 where there is but one.
void sum_gradients(const Piece* pieces, int64_t n_pieces, const float* parts, int64_t width, float* out,
                   int64_t n_slots) {
    memset(out, 0, size_t(n_slots * width) * 4);
    for (int64_t p = 0; p < n_pieces; ++p) {
        float* to = out + (n_slots > 1 ? pieces[p].slot : 0) * width;
        for (int64_t i = 0; i < width; ++i) to[i] += parts[p * width + i];
    }
}
}
