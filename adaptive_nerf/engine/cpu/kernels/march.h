// Marching through occupancy bits: as reference_march.py says, but what is empty is skipped a cell, a word of 4 x 4 x 4
// cells, or a block of 4 x 4 x 4 words at a time. In float64 as there, so that the same places are taken.
#pragma once
#include <vector>

#include "vectors.h"
#include "work.h"

constexpr double kFlat = 1e-12, kNearest = 1e-6, kSlack = 1e-9;
constexpr int kWordCells = 4;

constexpr int64_t kRaysTogether = 64;

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
    uint8_t* halls;            // whether anything is in each; or null: nobody has looked
};

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

// What one slot has at one place: nothing, with the way to where that may change; or something.
struct Look {
    bool within, set;
    double way;
};

inline Look look(const MarchArgs& a, const Region& region, const Ray& ray, const double place[3]) {
    double grid[3];
    int64_t cell[3];
    bool within = true;
    for (int d = 0; d < 3; ++d) within &= place[d] >= region.low[d] && place[d] <= region.high[d];
    if (!within) {  // the way to the box, if the ray comes to it at all
        double enter = 0, leave = INFINITY;
        for (int d = 0; d < 3; ++d) {
            const double one = (region.low[d] - place[d]) * ray.inverse[d];
            const double other = (region.high[d] - place[d]) * ray.inverse[d];
            enter = std::fmax(enter, std::fmin(one, other));
            leave = std::fmin(leave, std::fmax(one, other));
        }
        return {false, false, enter <= leave ? enter : INFINITY};
    }
    for (int d = 0; d < 3; ++d) {
        grid[d] = (place[d] - region.low[d]) * a.cells_a_unit;
        const int64_t most = region.blocks[d] * kWordCells - 1;
        const int64_t low = int64_t(grid[d]);
        cell[d] = low < 0 ? 0 : low > most ? most : low;
    }
    const int64_t hall = ((cell[0] >> 4) * region.halls[1] + (cell[1] >> 4)) * region.halls[2] + (cell[2] >> 4);
    int shift = 4;
    if (!a.halls || a.halls[region.first_hall + hall]) {
        const int64_t block = ((cell[0] >> 2) * region.blocks[1] + (cell[1] >> 2)) * region.blocks[2] + (cell[2] >> 2);
        const uint64_t word = uint64_t(a.words[region.first_word + block]);
        const int bit = int((cell[0] & 3) << 4 | (cell[1] & 3) << 2 | (cell[2] & 3));
        if (word >> bit & 1) return {true, true, 0};
        shift = word == 0 ? 2 : 0;
    }
    double way = INFINITY;
    for (int d = 0; d < 3; ++d) {
        const int64_t edge = ((cell[d] >> shift) + (ray.inverse[d] > 0)) << shift;
        way = std::fmin(way, (double(edge) - grid[d]) * a.cell * ray.inverse[d]);
    }
    return {true, false, way};
}

// The share of each slot whose box holds the place; reference_march.routed.
inline void route(const MarchArgs& a, const double place[3], const Look* looks, double* share) {
    double least = INFINITY, total = 0;
    int64_t nearest = -1;
    for (int64_t s = 0; s < a.n_regions; ++s) {
        double squared = 0;
        for (int d = 0; d < 3; ++d)
            if (a.axes[d]) squared += (place[d] - a.regions[s].centroid[d]) * (place[d] - a.regions[s].centroid[d]);
        share[s] = looks[s].within ? std::fmax(std::sqrt(squared), kNearest) : INFINITY;
        if (share[s] < least) least = share[s], nearest = s;
    }
    for (int64_t s = 0; s < a.n_regions; ++s) {
        const double distance = share[s];
        if (distance == INFINITY) share[s] = 0;
        else if (a.margin == 1) share[s] = s == nearest;
        else if (a.inverse) share[s] = distance <= a.margin * least ? 1 / distance : 0;
        else share[s] = std::fmax(0.0, (a.margin * least - distance) / distance);
        total += share[s];
    }
    for (int64_t s = 0; s < a.n_regions; ++s) share[s] /= total > 0 ? total : 1;
}

// Where a ray may be inside of a region's box, a little more than it is: outside of that nothing has to be looked at.
struct Span {
    int64_t region;
    double in, out;
};

constexpr double kSpanSlack = 1e-9, kSteepEnough = 1e-6;

struct Room {
    std::vector<Look> looks;
    std::vector<double> share;
    std::vector<Span> spans;
    explicit Room(int64_t n) : looks(size_t(n)), share(size_t(n)) {}

    void find_spans(const MarchArgs& a, const Ray& ray) {
        spans.clear();
        for (int64_t s = 0; s < a.n_regions; ++s) {
            looks[size_t(s)] = {false, false, INFINITY};
            double in = -INFINITY, out = INFINITY;
            for (int d = 0; d < 3; ++d) {
                if (std::fabs(ray.direction[d]) < kSteepEnough) {  // too flat to tell: look everywhere
                    in = -INFINITY, out = INFINITY;
                    break;
                }
                const double one = (a.regions[s].low[d] - ray.origin[d]) * ray.inverse[d];
                const double other = (a.regions[s].high[d] - ray.origin[d]) * ray.inverse[d];
                in = std::fmax(in, std::fmin(one, other));
                out = std::fmin(out, std::fmax(one, other));
            }
            const double slack = kSpanSlack * (1 + std::fabs(ray.enter));
            if (in <= out + 2 * slack) spans.push_back({s, in - slack, out + slack});
        }
    }
};

// Calls use(lattice point, slot, share) for each sample of the ray; returns the lattice point to go on with, or -1.
template <class Use>
inline int64_t walk(const MarchArgs& a, const Ray& ray, int64_t index, Room& room, Use use) {
    int64_t point = a.first ? a.first[index] : 0, taken = 0;
    if (point < 0) return -1;
    room.find_spans(a, ray);
    for (;;) {
        const double t = ray.enter + (double(point) + ray.shift) * a.step;
        if (!(t < ray.leave)) return -1;
        double place[3], way = INFINITY;
        for (int d = 0; d < 3; ++d) place[d] = ray.origin[d] + t * ray.direction[d];
        bool any = false;
        int64_t holders = 0;
        for (const Span& span : room.spans) {
            Look& seen = room.looks[size_t(span.region)];
            if (t > span.out) seen = {false, false, INFINITY};
            else if (t < span.in) seen = {false, false, span.in - t};
            else seen = look(a, a.regions[span.region], ray, place);
            any |= seen.set;
            holders += seen.within;
            way = std::fmin(way, seen.way);
        }
        if (any) {
            bool hit = false;
            if (holders > 1) route(a, place, room.looks.data(), room.share.data());
            for (const Span& span : room.spans) {
                const int64_t s = span.region;
                if (holders == 1) room.share[size_t(s)] = 1;  // whoever is alone is asked alone
                if (!room.looks[size_t(s)].set || !(room.share[size_t(s)] > 0)) continue;
                if (taken == a.most) return point;
                hit = true;
                use(point, s, room.share[size_t(s)]);
            }
            taken += hit;
            ++point;
            continue;
        }
        if (way == INFINITY) return -1;
        // The first lattice point that is not before the place where something may be.
        const double far = std::ceil((t + way - ray.enter) / a.step - ray.shift - kSlack);
        point = far > double(point) ? int64_t(far) : point + 1;
    }
}

// Slab `x` of a region's halls.
inline void look_into_halls(const MarchArgs& a, const Region& region, int64_t x) {
    const int64_t *blocks = region.blocks, *halls = region.halls;
    uint8_t* slab = a.halls + region.first_hall + x * halls[1] * halls[2];
    memset(slab, 0, size_t(halls[1] * halls[2]));
    for (int64_t i = 4 * x; i < 4 * x + 4 && i < blocks[0]; ++i)
        for (int64_t j = 0; j < blocks[1]; ++j) {
            const int64_t* row = a.words + region.first_word + (i * blocks[1] + j) * blocks[2];
            uint8_t* to = slab + (j >> 2) * halls[2];
            for (int64_t k = 0; k < blocks[2]; ++k) to[k >> 2] |= uint8_t(row[k] != 0);
        }
}

extern "C" {
// Fills `halls`. An item is a slab of a region.
void march_look_ahead(MarchArgs* args) {
    const MarchArgs& a = *args;
    int64_t slabs = 0;
    for (int64_t s = 0; s < a.n_regions; ++s) slabs += a.regions[s].halls[0];
    for (int64_t item; (item = take(&args->next, slabs)) >= 0;) {
        int64_t s = 0, x = item;
        while (x >= a.regions[s].halls[0]) x -= a.regions[s++].halls[0];
        look_into_halls(a, a.regions[s], x);
    }
}

void march_count(MarchArgs* args) {
    const MarchArgs& a = *args;
    Room room(a.n_regions);
    std::vector<Found> found;
    for (int64_t group; (group = take(&args->next, (a.n_rays + kRaysTogether - 1) / kRaysTogether)) >= 0;) {
        found.clear();
        for (int64_t index = group * kRaysTogether; index < a.n_rays && index < (group + 1) * kRaysTogether; ++index) {
            int32_t* counts = a.counts + index * a.n_regions;
            memset(counts, 0, size_t(a.n_regions) * 4);
            const auto note = [&](int64_t point, int64_t s, double share) {
                ++counts[s];
                found.push_back({int32_t(point), int32_t(s), float(share)});
            };
            a.following[index] = int32_t(walk(a, Ray(a, index), index, room, note));
        }
        const int64_t size = int64_t(found.size()), at = __atomic_fetch_add(&args->used, size, __ATOMIC_RELAXED);
        a.found_at[group] = at + size <= a.room ? at : -1;
        if (at + size <= a.room && size) memcpy(a.found + at, found.data(), size_t(size) * sizeof(Found));
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
    Room room(a.n_regions);
    for (int64_t group; (group = take(&args->next, (a.n_rays + kRaysTogether - 1) / kRaysTogether)) >= 0;) {
        const Found* found = a.found_at[group] < 0 ? nullptr : a.found + a.found_at[group];
        for (int64_t index = group * kRaysTogether; index < a.n_rays && index < (group + 1) * kRaysTogether; ++index) {
            const int64_t begin = a.offsets[index], end = a.offsets[index + 1];
            const Ray ray(a, index);
            int32_t* rows = a.counts + index * a.n_regions;
            int64_t at = begin;
            const auto fill = [&](int64_t point, int64_t s, float share) {
                const int32_t row = rows[s]++;
                const Region& region = a.regions[s];
                const double t = ray.enter + (double(point) + ray.shift) * a.step;
                for (int d = 0; d < 3; ++d) {
                    const double place = ray.origin[d] + t * ray.direction[d];
                    a.local[d * a.capacity + row] = float((place - region.low[d]) / region.side);
                }
                a.slots[row] = int32_t(s);
                a.rays[row] = int32_t(index);
                a.t[row] = float(t);
                a.delta[row] = float(share * a.step);
                a.order[at++] = row;
            };
            if (begin == end) continue;
            if (!found)
                walk(a, ray, index, room, fill);
            else
                for (; at < end; ++found) fill(found->point, found->slot, found->share);
        }
    }
}
}
