// Several rays walk side by side, a lane each: their looks wait for memory together. What is empty is skipped a cell, 2 x 2
// x 2 cells, a word of 4 x 4 x 4 cells, or a hall of 4 x 4 x 4 words at a time. In float64 as in reference_march.py, so
// that the same places are taken.
#pragma once
#include "march_rays.h"

constexpr int kAbreast = kLanes / 2;
constexpr double kFarthestPoint = 2e9;  // lattice points are numbered in 32 bits
constexpr uint64_t kEighth = 0x330033;  // of a word: the 2 x 2 x 2 cells at its lowest corner

typedef double Doubles __attribute__((vector_size(kAbreast * 8)));
typedef int64_t Longs __attribute__((vector_size(kAbreast * 8)));  // as a mask: -1 where true
constexpr uint32_t kAllLanes = (1u << kAbreast) - 1;
typedef uint64_t WordsAbreast __attribute__((vector_size(kAbreast * 8)));

inline Doubles doubles(double value) { return value - Doubles{}; }
inline Doubles lesser(Doubles a, Doubles b) { return b < a ? b : a; }
inline Doubles greater(Doubles a, Doubles b) { return b > a ? b : a; }
inline Doubles rounded_up(Doubles x) {
    const Doubles whole = __builtin_convertvector(__builtin_convertvector(x, Longs), Doubles);
    return whole + (whole < x ? doubles(1) : Doubles{});
}
// Where the mask is set; elsewhere 0.
inline Longs gathered(const int64_t* from, Longs index, Longs mask) {
    for (int lane = 0; lane < kAbreast; ++lane) index[lane] = mask[lane] ? from[index[lane]] : 0;
    return index;
}
inline uint32_t lanes_of(Longs mask) {
#if defined(__AVX512DQ__)
    return _mm512_movepi64_mask(__m512i(mask));
#elif defined(__AVX__)
    return uint32_t(_mm256_movemask_pd(__m256d(mask)));
#else
    uint32_t lanes = 0;
    for (int lane = 0; lane < kAbreast; ++lane) lanes |= uint32_t(mask[lane] & 1) << lane;
    return lanes;
#endif
}

// What one region has where the rays are: nothing, with the way to where that may change; or something.
struct Look {
    Longs within{}, set{};
    Doubles way = doubles(INFINITY);
};

struct Abreast {
    Doubles origin[3], direction[3], inverse[3];
    Doubles enter, leave, shift, point;
    int64_t ray[kAbreast], taken[kAbreast];

    void seat(int lane, int64_t index, const Ray& one, int64_t first) {
        for (int d = 0; d < 3; ++d) {
            origin[d][lane] = one.origin[d];
            direction[d][lane] = one.direction[d];
            inverse[d][lane] = one.inverse[d];
        }
        enter[lane] = one.enter, leave[lane] = one.leave, shift[lane] = one.shift, point[lane] = double(first);
        ray[lane] = index, taken[lane] = 0;
    }
};

// The way to the box, if the ray comes to it at all.
inline Doubles way_to(const Region& region, const Abreast& rays, const Doubles place[3]) {
    Doubles enter{}, leave = doubles(INFINITY);
    for (int d = 0; d < 3; ++d) {
        const Doubles one = (region.low[d] - place[d]) * rays.inverse[d];
        const Doubles other = (region.high[d] - place[d]) * rays.inverse[d];
        enter = greater(enter, lesser(one, other));
        leave = lesser(leave, greater(one, other));
    }
    return enter <= leave ? enter : INFINITY;
}

inline Look look(const MarchArgs& a, const Region& region, const Abreast& rays, const Doubles place[3], Longs asked) {
    Look seen;
    seen.within = asked;
    Doubles grid[3];
    Longs cell[3];
    for (int d = 0; d < 3; ++d) {
        seen.within &= (place[d] >= region.low[d]) & (place[d] <= region.high[d]);
        grid[d] = (place[d] - region.low[d]) * a.cells_a_unit;
        const double most = double(region.blocks[d] * kWordCells - 1);
        cell[d] = __builtin_convertvector(lesser(greater(Doubles{}, grid[d]), doubles(most)), Longs);
    }
    const Longs block = ((cell[0] >> 2) * region.blocks[1] + (cell[1] >> 2)) * region.blocks[2] + (cell[2] >> 2);
    const Longs hall = ((cell[0] >> 4) * region.halls[1] + (cell[1] >> 4)) * region.halls[2] + (cell[2] >> 4);
    const WordsAbreast word = WordsAbreast(gathered(a.words + region.first_word, block, seen.within));
    const Longs bit = (cell[0] & 3) << 4 | (cell[1] & 3) << 2 | (cell[2] & 3);
    seen.set = -Longs(word >> WordsAbreast(bit) & 1);
    const Longs eighth = Longs(word >> WordsAbreast(bit & 0x2a) & kEighth);
    const Longs empty_hall = a.halls ? gathered(a.halls + region.first_hall, hall, seen.within) == 0 : Longs{};
    const Longs shift = empty_hall ? Longs{} + 4 : Longs(word) == 0 ? Longs{} + 2 : eighth == 0 ? Longs{} + 1 : Longs{};
    for (int d = 0; d < 3; ++d) {
        const Longs edge = ((cell[d] >> shift) - Longs(rays.inverse[d] > 0)) << shift;
        seen.way = lesser(seen.way, (__builtin_convertvector(edge, Doubles) - grid[d]) * a.cell * rays.inverse[d]);
    }
    const Longs outside = asked & ~seen.within;
    if (lanes_of(outside)) seen.way = outside ? way_to(region, rays, place) : seen.way;
    seen.way = asked ? seen.way : INFINITY;
    return seen;
}

inline Doubles roots(Doubles x) {
#if defined(__AVX512F__)
    return Doubles(_mm512_maskz_sqrt_pd(0xff, __m512d(x)));
#elif defined(__AVX__)
    return Doubles(_mm256_sqrt_pd(__m256d(x)));
#else
    for (int lane = 0; lane < kAbreast; ++lane) x[lane] = std::sqrt(x[lane]);
    return x;
#endif
}

// The share of each region whose box holds the place; reference_march.routed.
template <class Looks, class Parts>
inline void route(const MarchArgs& a, const Doubles place[3], const Looks& looks, Parts& parts) {
    Doubles least = doubles(INFINITY), total{};
    Longs nearest = Longs{} - 1;
    for (size_t s = 0; s < parts.size(); ++s) {
        Doubles squared{};
        for (int d = 0; d < 3; ++d) {
            const Doubles apart = place[d] - a.regions[s].centroid[d];
            if (a.axes[d]) squared += apart * apart;
        }
        const Doubles distance = looks[s].within ? greater(roots(squared), doubles(kNearest)) : INFINITY;
        nearest = distance < least ? Longs{} + int64_t(s) : nearest;
        least = lesser(least, distance);
        parts[s].share = distance;
    }
    for (size_t s = 0; s < parts.size(); ++s) {
        const Doubles distance = parts[s].share;
        Doubles share;
        if (a.margin == 1) share = nearest == int64_t(s) ? doubles(1) : Doubles{};
        else if (a.inverse) share = distance <= a.margin * least ? 1 / distance : Doubles{};
        else share = greater(Doubles{}, (a.margin * least - distance) / distance);
        parts[s].share = looks[s].within ? share : Doubles{};
        total += parts[s].share;
    }
    for (auto& part : parts) part.share /= total > 0 ? total : 1;
}

// The rays that walk, and what each region has for them.
struct Walk {
    const MarchArgs& a;
    Abreast rays{};
    uint32_t seated = 0;               // lanes with a ray
    struct Part { Doubles in, out, share; };
    std::vector<Part> parts;           // [n_regions]
    std::vector<Look> looks;

    explicit Walk(const MarchArgs& args) : a(args), parts(size_t(a.n_regions)), looks(size_t(a.n_regions)) {}

    void seat(int lane, int64_t index) {
        const Ray one(a, index);
        rays.seat(lane, index, one, a.first ? a.first[index] : 0);
        for (int64_t s = 0; s < a.n_regions; ++s) {
            const Span span = span_of(a.regions[s], one);
            parts[size_t(s)].in[lane] = span.in, parts[size_t(s)].out[lane] = span.out;
        }
        seated |= 1u << lane;
    }

    void end(int lane, int64_t following) {
        a.following[rays.ray[lane]] = int32_t(following);
        rays.leave[lane] = -INFINITY;
        seated &= ~(1u << lane);
    }

    // What there is for those alive: `set` where something is, else the way to where that may be.
    Look look_everywhere(Doubles t, const Doubles place[3], Longs alive, Longs* holders) {
        Look all_of_it;
        *holders = Longs{};
        for (size_t s = 0; s < parts.size(); ++s) {
            const Part& part = parts[s];
            const Longs before = t < part.in, asked = alive & ~before & (t <= part.out);
            looks[s] = lanes_of(asked) ? look(a, a.regions[s], rays, place, asked) : Look();
            all_of_it.set |= looks[s].set;
            *holders -= looks[s].within;
            all_of_it.way = lesser(all_of_it.way, before ? part.in - t : looks[s].way);
        }
        return all_of_it;
    }

    void share_out(const Doubles place[3], Longs alone) {
        if (lanes_of(~alone)) route(a, place, looks, parts);
        for (Part& part : parts) part.share = alone ? doubles(1) : part.share;  // whoever is alone is asked alone
    }

    // Rays [next, last): calls use(ray, lattice point, region, share) for each sample, and notes where each ray goes on.
    template <class Use>
    void walk(int64_t next, int64_t last, Use use) {
        for (;;) {
            for (uint32_t free = ~seated & kAllLanes; free && next < last; ++next) {
                if (a.first && a.first[next] < 0) {
                    a.following[next] = -1;
                    continue;
                }
                seat(__builtin_ctz(free), next);
                free &= free - 1;
            }
            if (!seated) return;
            step(use);
        }
    }

    template <class Use>
    void step(Use use) {
        const Doubles t = rays.enter + (rays.point + rays.shift) * a.step;
        const Longs alive = t < rays.leave;
        Doubles place[3];
        for (int d = 0; d < 3; ++d) place[d] = rays.origin[d] + t * rays.direction[d];
        Longs holders;
        const Look seen = look_everywhere(t, place, alive, &holders);
        if (const uint32_t lanes = lanes_of(seen.set)) {
            share_out(place, ~seen.set | (holders == 1));
            for (uint32_t left = lanes; left; left &= left - 1) take(__builtin_ctz(left), use);
        }
        // The first lattice point that is not before the place where something may be.
        const Doubles onward = (t + seen.way - rays.enter) / a.step - rays.shift - kSlack;
        const Longs ended = ~alive | (~seen.set & ~(onward < kFarthestPoint));
        for (uint32_t left = seated & lanes_of(ended); left; left &= left - 1) end(__builtin_ctz(left), -1);
        rays.point = seen.set ? rays.point + 1 : greater(rays.point + 1, rounded_up(onward));
    }

    // The samples at the place where a lane is; or its end, where it has as many as were wanted.
    template <class Use>
    void take(int lane, Use use) {
        bool hit = false;
        for (size_t s = 0; s < parts.size(); ++s) {
            const double share = parts[s].share[lane];
            if (!looks[s].set[lane] || !(share > 0)) continue;
            if (rays.taken[lane] == a.most) return end(lane, int64_t(rays.point[lane]));
            hit = true;
            use(rays.ray[lane], int64_t(rays.point[lane]), int64_t(s), share);
        }
        rays.taken[lane] += hit;
    }
};
