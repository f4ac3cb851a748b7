// What each ray met, from the weights of its samples; as reference_surfaces.py says.
#pragma once
#include <algorithm>
#include <vector>

#include "vectors.h"
#include "work.h"

struct SurfaceArgs {
    int64_t next;
    int64_t n_rays, n_slots;
    const int32_t* offsets;        // [n_rays + 1]
    const int32_t* order;          // [n]
    const int32_t* slots;          // [n]
    const float* t;                // [n]
    const float* weights;          // [n]
    const float* median;           // [n_rays]
    double window;                 // of distances from the median
    float* distance;               // [n_rays]
    int32_t* leading;              // [n_rays]
};

inline void meet(const SurfaceArgs& a, int64_t ray, std::vector<float>& share) {
    std::fill(share.begin(), share.end(), 0.0f);
    const float median = a.median[ray], window = float(a.window);
    float total = 0, moment = 0;
    for (int64_t k = a.offsets[ray]; k < a.offsets[ray + 1]; ++k) {
        const int64_t row = a.order[k];
        const float weight = a.weights[row], t = a.t[row];
        share[size_t(a.slots[row])] += weight;
        if (std::fabs(t - median) <= window) total += weight, moment += weight * t;
    }
    a.distance[ray] = std::isfinite(median) ? moment / total : NAN;
    const auto most = std::max_element(share.begin(), share.end());
    a.leading[ray] = *most > 0 ? int32_t(most - share.begin()) : -1;
}

extern "C" void surfaces(SurfaceArgs* args) {
    const SurfaceArgs& a = *args;
    std::vector<float> share(size_t(a.n_slots));
    for (int64_t item; (item = take(&args->next, (a.n_rays + kRaysTogether - 1) / kRaysTogether)) >= 0;)
        for (int64_t ray = item * kRaysTogether; ray < a.n_rays && ray < (item + 1) * kRaysTogether; ++ray) meet(a, ray, share);
}
