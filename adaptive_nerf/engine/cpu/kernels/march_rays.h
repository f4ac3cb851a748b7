// What a march is given, and a ray of it: where it is inside of everything, and of each region.
#pragma once
#include <vector>

#include "vectors.h"
#include "work.h"

constexpr double kFlat = 1e-12, kNearest = 1e-6, kSlack = 1e-9;
constexpr int kWordCells = 4;

struct Found {
    int32_t point, slot;
    float share;
};

struct Region {
    double low[3], high[3], centroid[3];
    double side;
    int64_t blocks[3];         // words along each axis
    int64_t first_word;
    int64_t halls[3];          // of up to 4 x 4 x 4 words
    int64_t first_hall;
};

struct MarchArgs {
    int64_t next;
    int64_t n_rays;
    const float* origins;      // [n_rays][3]
    const float* directions;   // [n_rays][3]
    double near, far, step;
    uint64_t key;
    int64_t stratified, most;
    const Region* regions;
    int64_t n_regions;
    double bounds[6];
    double margin;
    int64_t axes[3];           // of the distances to centroids: 1 or 0
    int64_t inverse;           // routing by 1 / distance
    const int64_t* words;
    double cell, cells_a_unit;
    const int32_t* first;      // [n_rays] or null
    int32_t* counts;           // [n_rays][n_regions] from the first pass; then where the ray's rows of the slot begin
    Found* found;      // [room] what the first pass came upon, ray by ray in groups of kRaysTogether
    int64_t room, used;
    int64_t* found_at;         // [groups] where a group's begin, or -1: no room was left, walk again
    int32_t* offsets;          // [n_rays + 1]
    uint8_t* dropped;          // [n_rays]
    int32_t* following;        // [n_rays]
    int64_t capacity;
    float* local;              // [3][capacity]
    int32_t* slots;
    int32_t* rays;
    float* t;
    float* delta;
    int32_t* order;
    int64_t* halls;            // not 0 where anything is in it; or null: nobody has looked
};

// Calls `work` with slabs of the regions along x, an item each; `sizes`: how many of what there are along each axis.
template <class Args, class Work>
inline void by_slab(Args* args, int64_t (Region::*sizes)[3], Work work) {
    int64_t slabs = 0;
    for (int64_t s = 0; s < args->n_regions; ++s) slabs += (args->regions[s].*sizes)[0];
    for (int64_t item; (item = take(&args->next, slabs)) >= 0;) {
        int64_t s = 0, x = item;
        while (x >= (args->regions[s].*sizes)[0]) x -= (args->regions[s++].*sizes)[0];
        work(args->regions[s], x);
    }
}

inline float drawn(uint64_t key, uint64_t index) {  // draws.uniform
    uint64_t word = key + (index + 1) * 0x9E3779B97F4A7C15ull;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ull;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBull;
    return float((word ^ (word >> 31)) >> 40) * (1.0f / 16777216.0f);
}

struct Ray {
    double origin[3], direction[3], inverse[3];
    double enter, leave;
    double shift;

    Ray(const MarchArgs& a, int64_t index) : enter(a.near), leave(a.far) {
        for (int d = 0; d < 3; ++d) {
            origin[d] = a.origins[index * 3 + d];
            direction[d] = a.directions[index * 3 + d];
            const double steep = std::fabs(direction[d]) < kFlat ? kFlat : direction[d];
            inverse[d] = 1 / steep;
            const double one = (a.bounds[d] - origin[d]) / steep, other = (a.bounds[d + 3] - origin[d]) / steep;
            enter = std::fmax(enter, std::fmin(one, other));
            leave = std::fmin(leave, std::fmax(one, other));
            if (!std::isfinite(origin[d] + direction[d])) leave = -INFINITY;  // such a ray is nowhere
        }
        shift = a.stratified ? drawn(a.key, uint64_t(index)) : 0.5f;
    }
};

// Where the ray may be inside of a region's box, a little more than it is: outside of that nothing has to be looked at.
struct Span {
    double in, out;
};

constexpr double kSpanSlack = 1e-9, kSteepEnough = 1e-6;

inline Span span_of(const Region& region, const Ray& ray) {
    double in = -INFINITY, out = INFINITY;
    for (int d = 0; d < 3; ++d) {
        if (std::fabs(ray.direction[d]) < kSteepEnough) return {-INFINITY, INFINITY};  // too flat to tell
        const double one = (region.low[d] - ray.origin[d]) * ray.inverse[d];
        const double other = (region.high[d] - ray.origin[d]) * ray.inverse[d];
        in = std::fmax(in, std::fmin(one, other));
        out = std::fmin(out, std::fmax(one, other));
    }
    const double slack = kSpanSlack * (1 + std::fabs(ray.enter));
    if (in > out + 2 * slack) return {INFINITY, -INFINITY};
    return {in - slack, out + slack};
}
