// Volume rendering over ragged rays. A row of `values` is a density, then what is blended; rows of a ray are listed in
// `order`, near to far. Formulas as in torch_reference.composite.
#pragma once
#include <vector>

#include "vectors.h"
#include "work.h"

struct CompositeArgs {
    int64_t next;
    int64_t n_rays, width;         // width = 1 + channels
    const int32_t* offsets;        // [n_rays + 1]
    const int32_t* order;          // [n]
    const float* t;                // [n]
    const float* delta;            // [n]
    const float* values;           // [n][width]
    float stop, full_from;
    float* image;                  // [n_rays][width]
    float* depth;                  // [n_rays]
    float* median;                 // [n_rays]
    float* distortion;             // [n_rays]
    float* weights;                // [n]
    float* relative;               // [n]
    const float* image_gradient;       // [n_rays][width]
    const float* depth_gradient;       // [n_rays] or null
    const float* distortion_gradient;  // [n_rays] or null
    float* values_gradient;            // [n][width]; may be `values` itself
};

// What the gradient of a sample is multiplied by: see torch_reference.nearness.
inline float nearness(const CompositeArgs& a, float t) {
    if (!(t < a.full_from)) return 1;
    const float share = t / a.full_from;
    return share * share;
}

// 1 - e^-x without losing the digits of a small x.
inline float opacity_of(float thickness) {
    if (thickness > 0.05f || thickness < -0.05f) return 1.0f - std::exp(-thickness);
    const float x = thickness;
    return x * (1 - x * 0.5f * (1 - x * (1 / 3.0f) * (1 - x * 0.25f * (1 - x * 0.2f))));
}

// Weights of one ray; returns how many samples have one. `left` is the light that remains behind each.
inline int64_t weigh(const CompositeArgs& a, int64_t begin, int64_t end, float* weight, float* left) {
    float transmittance = 1;
    for (int64_t k = begin; k < end; ++k) {
        if (!(transmittance > a.stop)) return k - begin;
        const int64_t row = a.order[k];
        const float alpha = opacity_of(a.values[row * a.width] * a.delta[row]);
        weight[k - begin] = transmittance * alpha;
        transmittance *= 1 - alpha;
        left[k - begin] = transmittance;
    }
    return end - begin;
}

template <int kWidth>
inline void blend(const CompositeArgs& a, int64_t begin, int64_t count, const float* weight, float* pixel) {
    const int64_t width = kWidth ? kWidth : a.width;
    float total[kWidth ? kWidth : 1] = {};
    float* to = kWidth ? total : pixel;
    if (!kWidth) memset(pixel, 0, size_t(width) * 4);
    for (int64_t k = 0; k < count; ++k) {
        const float* value = a.values + a.order[begin + k] * width;
        for (int64_t c = 0; c < width; ++c) to[c] += weight[k] * value[c];
    }
    if (kWidth) memcpy(pixel, total, sizeof total);
}

inline void composite_ray(const CompositeArgs& a, int64_t ray, float* weight, float* left) {
    const int64_t begin = a.offsets[ray], end = a.offsets[ray + 1];
    const int64_t count = weigh(a, begin, end, weight, left);
    float* pixel = a.image + ray * a.width;
    if (a.width == 16) blend<16>(a, begin, count, weight, pixel);
    else if (a.width == 4) blend<4>(a, begin, count, weight, pixel);
    else blend<0>(a, begin, count, weight, pixel);
    float opacity = 0, depth = 0, loss = 0, largest = 1e-10f, median = INFINITY;
    for (int64_t k = 0; k < count; ++k) {
        const int64_t row = a.order[begin + k];
        const float w = weight[k], t = a.t[row];
        loss += 2 * w * (t * opacity - depth) + w * w * a.delta[row] * (1 / 3.0f);
        opacity += w;
        depth += w * t;
        if (median == INFINITY && left[k] < 0.5f) median = t;
        largest = w > largest ? w : largest;
    }
    pixel[0] = opacity;
    a.depth[ray] = depth, a.median[ray] = median, a.distortion[ray] = loss;
    for (int64_t k = begin; k < end; ++k) {
        const float w = k - begin < count ? weight[k - begin] : 0;
        a.weights[a.order[k]] = w;
        a.relative[a.order[k]] = w / largest;
    }
}

// `out` may be `value` itself.
template <int kWidth>
inline float slopes_of_row(const float* value, const float* given, float weight, float near, int64_t any_width, float* out) {
    const int64_t width = kWidth ? kWidth : any_width;
    float total = given[0] * (1 - value[0]);  // the opacity's own channel is 1
    for (int64_t c = 0; c < width; ++c) total += given[c] * value[c];
    for (int64_t c = 0; c < width; ++c) out[c] = weight * near * given[c];
    return total;
}

template <int kWidth>
inline void composite_ray_backward(const CompositeArgs& a, int64_t ray, float* weight, float* left) {
    const int64_t begin = a.offsets[ray], end = a.offsets[ray + 1], width = kWidth ? kWidth : a.width;
    const int64_t count = weigh(a, begin, end, weight, left);
    for (int64_t k = begin + count; k < end; ++k) memset(a.values_gradient + a.order[k] * width, 0, size_t(width) * 4);
    const float* given = a.image_gradient + ray * width;
    const float for_depth = a.depth_gradient ? a.depth_gradient[ray] : 0;
    const float for_loss = a.distortion_gradient ? a.distortion_gradient[ray] : 0;
    float all_weight = 0, all_moment = 0;
    if (for_loss != 0)
        for (int64_t k = 0; k < count; ++k) all_weight += weight[k], all_moment += weight[k] * a.t[a.order[begin + k]];
    float behind = 0, weight_behind = 0, moment_behind = 0;  // of the samples farther away
    for (int64_t k = count - 1; k >= 0; --k) {
        const int64_t row = a.order[begin + k];
        const float w = weight[k], t = a.t[row];
        float* out = a.values_gradient + row * width;
        const float near = nearness(a, t);
        float slope = slopes_of_row<kWidth>(a.values + row * width, given, w, near, width, out) + for_depth * t;
        if (for_loss != 0) {
            const float before = all_weight - weight_behind - w, moment_before = all_moment - moment_behind - w * t;
            slope += for_loss * (2 * (t * (before - weight_behind) - (moment_before - moment_behind)) +
                                 w * a.delta[row] * (2 / 3.0f));
            weight_behind += w, moment_behind += w * t;
        }
        out[0] = near * a.delta[row] * (left[k] * slope - behind);
        behind += w * slope;
    }
}

// Calls use(ray, weight, left) with room for the samples of the ray.
template <class Use>
inline void for_rays(CompositeArgs* args, Use use) {
    std::vector<float> weight, left;
    const int64_t groups = (args->n_rays + kRaysTogether - 1) / kRaysTogether;
    for (int64_t item; (item = take(&args->next, groups)) >= 0;) {
        const int64_t last = (item + 1) * kRaysTogether < args->n_rays ? (item + 1) * kRaysTogether : args->n_rays;
        for (int64_t ray = item * kRaysTogether; ray < last; ++ray) {
            const size_t count = size_t(args->offsets[ray + 1] - args->offsets[ray]);
            if (count > weight.size()) weight.resize(count), left.resize(count);
            use(ray, weight.data(), left.data());
        }
    }
}

extern "C" {
void composite(CompositeArgs* args) {
    for_rays(args, [=](int64_t ray, float* weight, float* left) { composite_ray(*args, ray, weight, left); });
}

void composite_backward(CompositeArgs* args) {
    for_rays(args, [=](int64_t ray, float* weight, float* left) {
        switch (args->width) {
            case 4: composite_ray_backward<4>(*args, ray, weight, left); break;
            case 16: composite_ray_backward<16>(*args, ray, weight, left); break;
            default: composite_ray_backward<0>(*args, ray, weight, left);
        }
    });
}
}
