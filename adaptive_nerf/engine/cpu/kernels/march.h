// Marching through occupancy bits: as reference_march.py says. Once to count, once to fill the buffer.
#pragma once
#include <algorithm>

#include "march_walk.h"

// Slab `x` of a region's halls.
inline void look_into_halls(const MarchArgs& a, const Region& region, int64_t x) {
    const int64_t *blocks = region.blocks, *halls = region.halls;
    int64_t* slab = a.halls + region.first_hall + x * halls[1] * halls[2];
    memset(slab, 0, size_t(halls[1] * halls[2]) * 8);
    for (int64_t i = 4 * x; i < 4 * x + 4 && i < blocks[0]; ++i)
        for (int64_t j = 0; j < blocks[1]; ++j) {
            const int64_t* row = a.words + region.first_word + (i * blocks[1] + j) * blocks[2];
            int64_t* to = slab + (j >> 2) * halls[2];
            for (int64_t k = 0; k < blocks[2]; ++k) to[k >> 2] |= row[k];
        }
}

inline int64_t end_of_group(const MarchArgs& a, int64_t group) {
    return (group + 1) * kRaysTogether < a.n_rays ? (group + 1) * kRaysTogether : a.n_rays;
}

// The next row of the ray in its slot; the ray's sample number `k` of all.
inline void fill_row(const MarchArgs& a, const Ray& ray, int64_t index, const Found& found, int32_t k) {
    const int32_t row = a.counts[index * a.n_regions + found.slot]++;
    if (row >= a.capacity) return;
    const Region& region = a.regions[found.slot];
    const double t = ray.enter + (double(found.point) + ray.shift) * a.step;
    for (int d = 0; d < 3; ++d) {
        const double place = ray.origin[d] + t * ray.direction[d];
        a.local[d * a.capacity + row] = float((place - region.low[d]) / region.side);
    }
    a.slots[row] = found.slot;
    a.rays[row] = int32_t(index);
    a.t[row] = float(t);
    a.delta[row] = float(found.share * a.step);
    a.order[k] = row;
}

extern "C" {
// Fills `halls`. An item is a slab of a region.
void march_look_ahead(MarchArgs* args) {
    by_slab(args, &Region::halls, [&](const Region& region, int64_t x) { look_into_halls(*args, region, x); });
}

void march_count(MarchArgs* args) {
    const MarchArgs& a = *args;
    Walk walk(a);
    std::vector<Found> found[kRaysTogether];
    for (int64_t group; (group = take(&args->next, (a.n_rays + kRaysTogether - 1) / kRaysTogether)) >= 0;) {
        const int64_t first = group * kRaysTogether, last = end_of_group(a, group);
        memset(a.counts + first * a.n_regions, 0, size_t((last - first) * a.n_regions) * 4);
        for (auto& of_ray : found) of_ray.clear();
        walk.walk(first, last, [&](int64_t ray, int64_t point, int64_t s, double share) {
            ++a.counts[ray * a.n_regions + s];
            found[ray - first].push_back({int32_t(point), int32_t(s), float(share)});
        });
        int64_t size = 0;
        for (const auto& of_ray : found) size += int64_t(of_ray.size());
        int64_t at = __atomic_fetch_add(&args->used, size, __ATOMIC_RELAXED);
        a.found_at[group] = at + size <= a.room ? at : -1;
        if (a.found_at[group] < 0) continue;
        for (const auto& of_ray : found) {
            std::copy(of_ray.begin(), of_ray.end(), a.found + at);
            at += int64_t(of_ray.size());
        }
    }
}

// Where each ray's rows go: all rows of a slot together, rays in order, until the room is used up. Returns how many rows.
int64_t march_lay_out(MarchArgs* args) {
    const MarchArgs& a = *args;
    std::vector<int64_t> of_slot(size_t(a.n_regions), 0);
    int64_t total = 0;
    bool full = false;
    a.offsets[0] = 0;
    for (int64_t ray = 0; ray < a.n_rays; ++ray) {
        int64_t count = 0;
        for (int64_t s = 0; s < a.n_regions; ++s) count += a.counts[ray * a.n_regions + s];
        full |= total + count > a.capacity;
        a.dropped[ray] = full;
        for (int64_t s = 0; s < a.n_regions; ++s) {
            int32_t& entry = a.counts[ray * a.n_regions + s];
            const int32_t here = full ? 0 : entry;
            entry = int32_t(of_slot[size_t(s)]);
            of_slot[size_t(s)] += here;
        }
        total += full ? 0 : count;
        a.offsets[ray + 1] = int32_t(total);
    }
    int64_t begin = 0;
    for (int64_t s = 0; s < a.n_regions; ++s) {
        for (int64_t ray = 0; begin && ray < a.n_rays; ++ray) a.counts[ray * a.n_regions + s] += int32_t(begin);
        begin += of_slot[size_t(s)];
    }
    return total;
}

void march_fill(MarchArgs* args) {
    const MarchArgs& a = *args;
    Walk walk(a);
    int32_t at[kRaysTogether];
    for (int64_t group; (group = take(&args->next, (a.n_rays + kRaysTogether - 1) / kRaysTogether)) >= 0;) {
        const int64_t first = group * kRaysTogether, last = end_of_group(a, group);
        if (a.found_at[group] < 0) {
            memcpy(at, a.offsets + first, size_t(last - first) * 4);
            walk.walk(first, last, [&](int64_t ray, int64_t point, int64_t s, double share) {
                // Bounded: a compiler may round a second walk otherwise than the first.
                if (!a.dropped[ray] && at[ray - first] < a.offsets[ray + 1]) fill_row(a, Ray(a, ray), ray, {int32_t(point), int32_t(s), float(share)}, at[ray - first]++);
            });
            continue;
        }
        const Found* found = a.found + a.found_at[group];
        for (int64_t ray = first; ray < last && !a.dropped[ray]; ++ray) {
            const Ray one(a, ray);
            for (int32_t k = a.offsets[ray]; k < a.offsets[ray + 1]; ++k) fill_row(a, one, ray, *found++, k);
        }
    }
}
}
