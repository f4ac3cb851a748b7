// What one core of this machine can do at most: each probe runs for about `seconds` and returns a rate per second.
// One call is one thread; the caller starts as many as there are cores, so that shared memory shows.
#include <chrono>
#include <cstdint>
#include <cstdlib>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vector __attribute__((vector_size(kLanes * 4)));
#if defined(__x86_64__)
#define KEEP(v) asm volatile("" : "+x"(v))
#else
#define KEEP(v) asm volatile("" : "+w"(v))
#endif

namespace {
using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Repeats `block`, which does `work` units, until the time is up.
template <class Block>
double rate(double seconds, double work, Block block) {
    const auto start = Clock::now();
    double done = 0, passed = 0;
    do {
        block();
        done += work;
        passed = seconds_since(start);
    } while (passed < seconds);
    return done / passed;
}
}  // namespace

extern "C" {
// fp32 floating-point operations: twelve independent chains of fused multiply-add hide the latency.
// (Named variables: an array of them is kept on the stack by some compilers, and halves the rate.)
double peak_flops(double seconds) {
    const Vector scale = Vector{} + 0.999f, shift = Vector{} + 0.001f;
    constexpr int kRounds = 20000;
    return rate(seconds, 2.0 * kLanes * 12 * kRounds, [=] {
        Vector a = shift, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        const auto step = [=](Vector& chain) {
            chain = chain * scale + shift;
            KEEP(chain);
        };
        for (int round = 0; round < kRounds; ++round) {
            step(a), step(b), step(c), step(d), step(e), step(f);
            step(g), step(h), step(i), step(j), step(k), step(l);
        }
    });
}

// Random 8-byte loads from a table of `bytes`.
double random_loads(double seconds, long bytes) {
    const uint64_t entries = uint64_t(bytes) / 8;
    uint64_t* table = static_cast<uint64_t*>(aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
    if (!table) return 0;
    for (uint64_t i = 0; i < entries; ++i) table[i] = i;
    uint32_t state = 1;
    uint64_t sum[4] = {};
    constexpr int kRounds = 100000;
    const double result = rate(seconds, 4.0 * kRounds, [&] {
        for (int round = 0; round < kRounds; ++round) {
            const uint32_t hash = state++ * 2654435761u;
            sum[0] += table[(uint64_t(hash) * entries) >> 32];
            sum[1] += table[(uint64_t(hash ^ 0x9e3779b9u) * entries) >> 32];
            sum[2] += table[(uint64_t(hash * 0x85ebca6bu) * entries) >> 32];
            sum[3] += table[(uint64_t((hash + 77) * 0xc2b2ae35u) * entries) >> 32];
        }
    });
    volatile uint64_t keep = sum[0] + sum[1] + sum[2] + sum[3];
    (void)keep;
    free(table);
    return result;
}

// Bytes read one after the other from memory that no cache holds.
double stream_read(double seconds) {
    constexpr long kBytes = 64L << 20;
    Vector* memory = static_cast<Vector*>(aligned_alloc(64, kBytes));
    if (!memory) return 0;
    constexpr long kVectors = kBytes / long(sizeof(Vector));
    for (long i = 0; i < kVectors; ++i) memory[i] = Vector{} + 1.0f;
    Vector sum[4] = {};
    const double result = rate(seconds, double(kBytes), [&] {
        for (long i = 0; i < kVectors; i += 4)
            for (int k = 0; k < 4; ++k) sum[k] += memory[i + k];
        for (int k = 0; k < 4; ++k) KEEP(sum[k]);
    });
    free(memory);
    return result;
}
}
