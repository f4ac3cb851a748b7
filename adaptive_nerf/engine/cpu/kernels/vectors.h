// Vectors as wide as the machine has them, by the compiler's extensions: one source for AVX2, AVX-512 and NEON.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kRegisters = 32;
#elif defined(__AVX__)
constexpr int kLanes = 8;
constexpr int kRegisters = 16;
#else
constexpr int kLanes = 4;
constexpr int kRegisters = 16;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4)));

template <class Vector, class Scalar>
inline Vector load(const Scalar* from) {
    Vector result;
    memcpy(&result, from, sizeof result);
    return result;
}
template <class Vector, class Scalar>
inline void store(Scalar* to, Vector value) {
    memcpy(to, &value, sizeof value);
}

// Some floats side by side: an entry of a table, or a sample's features of a level.
template <int kCount>
struct Few {
    typedef float Type __attribute__((vector_size(kCount * 4)));
    typedef uint32_t Bits __attribute__((vector_size(kCount * 4)));
    typedef uint16_t Halves __attribute__((vector_size(kCount * 2)));
};
// They may lie in memory as halves (bfloat16): floats without their lower 16 bits, rounded to the nearest.
template <int kCount>
inline typename Few<kCount>::Type get(const float* from) { return load<typename Few<kCount>::Type>(from); }
template <int kCount>
inline typename Few<kCount>::Type get(const uint16_t* from) {
    typedef Few<kCount> F;
    return typename F::Type(__builtin_convertvector(load<typename F::Halves>(from), typename F::Bits) << 16);
}
template <int kCount>
inline void put(float* to, typename Few<kCount>::Type value) { store(to, value); }
template <int kCount>
inline void put(uint16_t* to, typename Few<kCount>::Type value) {
    typedef Few<kCount> F;
    const auto bits = typename F::Bits(value);
    store(to, __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, typename F::Halves));
}

inline Floats floats(const float* from) { return load<Floats>(from); }
inline Floats all(float value) { return value - Floats{}; }  // no "+": -0 would become 0, at the cost of an addition
// a * b + c with a single rounding, where the compiler must not be left the choice.
inline Floats fused(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return Floats(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#elif defined(__FMA__)
    return Floats(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#else
    for (int lane = 0; lane < kLanes; ++lane) c[lane] = std::fma(a[lane], b[lane], c[lane]);
    return c;
#endif
}

// e^x to two units in the last place for |x| <= 87; beyond, as at 87. Two parts of ln 2 keep the remainder exact.
inline Floats exponential(Floats x) {
    x = x > 87.0f ? all(87.0f) : x;
    x = x < -87.0f ? all(-87.0f) : x;
    const Floats rounder = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Floats n = (x * 1.44269504f + rounder) - rounder;
    const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
    return p * load<Floats>(reinterpret_cast<const float*>(&power));
}

inline bool any(float x) { return x != 0; }
inline bool any(Floats x) {  // of its lanes is not 0
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(__m512(x), __m512(Floats{}), _CMP_NEQ_UQ) != 0;
#else
    const auto parts = reinterpret_cast<const Words&>(x) << 1;  // -0 is 0
    uint64_t bits = 0, part[kLanes / 2];
    memcpy(part, &parts, sizeof part);
    for (uint64_t each : part) bits |= each;
    return bits != 0;
#endif
}
inline float root(float x) { return std::sqrt(x); }
inline Floats root(Floats x) {
#if defined(__AVX512F__)
    return Floats(_mm512_maskz_sqrt_ps(0xffff, __m512(x)));  // GCC 12 warns of the one without a mask
#elif defined(__AVX__)
    return Floats(_mm256_sqrt_ps(__m256(x)));
#else
    for (int lane = 0; lane < kLanes; ++lane) x[lane] = std::sqrt(x[lane]);
    return x;
#endif
}

constexpr int64_t padded(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

// Memory of a cache line's alignment, freed at the end of the scope.
class Scratch {
  public:
    explicit Scratch(int64_t count) : data_(nullptr) {
        if (posix_memalign(reinterpret_cast<void**>(&data_), 64, size_t(count) * 4 + 64)) abort();
        memset(data_, 0, size_t(count) * 4 + 64);
    }
    ~Scratch() { free(data_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    float* data() const { return data_; }

  private:
    float* data_;
};
