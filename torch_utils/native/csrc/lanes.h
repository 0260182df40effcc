// Vectors of as many floats as the processor takes at once, and products of matrices whose columns come in such
// vectors: what minimal filtering is made of.
#pragma once

#include <cstdint>
#include <memory>

namespace steergan {

// Floats in a vector; rows and vectors of a product that are summed in registers. There are 32 of these with AVX-512,
// else 16: twelve sums, a vector for each column and one factor fill them.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 14, kColumns = 2;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows = 6, kColumns = 2;
#else
constexpr int kLanes = 4, kRows = 6, kColumns = 2;
#endif

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));
constexpr int kLine = 64;  // bytes of a cache line; arrays of Lanes are to begin with one
constexpr int kLineFloats = kLine / sizeof(float);

inline Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline void store(Lanes value, float* to) { *reinterpret_cast<Lanes*>(to) = value; }
// Less nothing is no operation; nothing plus a number, where -0 becomes 0, is one, and would take a third of the time.
inline Lanes all(float value) { return value - Lanes{}; }

// Has the numbers at `values` rounded here: the compiler may not join the products they come from with later sums.
inline void round_now(const Lanes* values) { asm volatile("" : : "r"(values) : "memory"); }

// Floats that begin at a cache line: loads of whole vectors then never touch two.
class Buffer {
  public:
    explicit Buffer(int64_t size) : memory_(new float[size + kLineFloats]) {
        start_ = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory_.get()) + kLine - 1) / kLine * kLine);
    }
    float* get() const { return start_; }

  private:
    std::unique_ptr<float[]> memory_;
    float* start_;
};

constexpr int kSecondLevel = 2;  // of caches, where the columns of `b` that come next are fetched to

// c[r, :] = sum over k of a[r, k] * b[k, :], for Rows rows and Columns vectors; b holds its columns vector by vector
template <int Rows, int Columns>
void multiply_few(const float* a, const float* b, float* c, int64_t depth, int64_t width) {
    Lanes sums[Rows][Columns] = {};
    for (int64_t k = 0; k < depth; k++) {
        Lanes row[Columns];
        for (int j = 0; j < Columns; j++) {
            row[j] = load(b + (j * depth + k) * kLanes);
            __builtin_prefetch(b + ((Columns + j) * depth + k) * kLanes, 0, kSecondLevel);
        }
        for (int r = 0; r < Rows; r++) {
            Lanes factor = all(a[r * depth + k]);
            for (int j = 0; j < Columns; j++) sums[r][j] += factor * row[j];
        }
    }
    for (int r = 0; r < Rows; r++) {
        for (int j = 0; j < Columns; j++) store(sums[r][j], c + r * width + j * kLanes);
    }
}

// The same for a number of rows that is known only now: at most Most, at least 1.
template <int Columns, int Most = kRows>
void multiply_rows(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width) {
    if (Most == 1 || rows == Most) return multiply_few<Most, Columns>(a, b, c, depth, width);
    if constexpr (Most > 1) multiply_rows<Columns, Most - 1>(a, b, c, rows, depth, width);
}

// In equal shares, as far as that is possible: too few rows would wait for their sums.
template <int Columns>
void multiply_columns(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width) {
    int64_t shares = (rows + kRows - 1) / kRows;
    for (int64_t i = 0; i < shares; i++) {
        int64_t begin = i * rows / shares, end = (i + 1) * rows / shares;
        multiply_rows<Columns>(a + begin * depth, b, c + begin * width, end - begin, depth, width);
    }
}

// c [rows, width] = a [rows, depth] times b [width / kLanes, depth, kLanes]. A row's sums do not depend on other rows.
inline void multiply(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width) {
    int64_t j = 0;
    for (; j + kColumns * kLanes <= width; j += kColumns * kLanes) {
        multiply_columns<kColumns>(a, b + j * depth, c + j, rows, depth, width);
    }
    for (; j < width; j += kLanes) multiply_columns<1>(a, b + j * depth, c + j, rows, depth, width);
}

}  // namespace steergan
