// upfirdn2d on the CPU, row by row of the result.
//
// A filter that is an outer product runs down the columns first, into a buffer that stays in the cache, then along the
// row; any other filter makes that second step once for each of its rows. All inner loops are sums of a few rows with
// constant factors, over neighbouring numbers.

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "upfirdn2d.h"

namespace steergan {
namespace {

constexpr int64_t kBufferElements = 6144;  // of a stretch of a row; 24 KiB of float, half of a first-level cache
constexpr int kTapsAtOnce = 4;

// to[i] (+)= sum over k of taps[k] * rows[k][i]
template <int Taps, bool Add, class T, class W>
void combine(const T* const* rows, const W* taps, W* __restrict to, int64_t size) {
    const T* row[Taps];
    W tap[Taps];
    for (int k = 0; k < Taps; k++) row[k] = rows[k], tap[k] = taps[k];
#pragma omp simd
    for (int64_t i = 0; i < size; i++) {
        W sum = Add ? to[i] : W(0);
        for (int k = 0; k < Taps; k++) sum += tap[k] * W(widen(row[k][i]));
        to[i] = sum;
    }
}

template <bool Add, class T, class W>
void combine_few(const T* const* rows, const W* taps, int count, W* to, int64_t size) {
    switch (count) {
        case 1: return combine<1, Add>(rows, taps, to, size);
        case 2: return combine<2, Add>(rows, taps, to, size);
        case 3: return combine<3, Add>(rows, taps, to, size);
        default: return combine<4, Add>(rows, taps, to, size);
    }
}

// to[i] (+)= sum over k < count of taps[k] * (from + k * step)[i]
template <class T, class W>
void accumulate(const T* from, int64_t step, const W* taps, int tap_step, int count, bool add, W* to, int64_t size) {
    if (count == 0 && !add) std::fill(to, to + size, W(0));
    for (int k = 0; k < count; k += kTapsAtOnce) {
        const T* rows[kTapsAtOnce];
        W few[kTapsAtOnce];
        int here = std::min(count - k, kTapsAtOnce);
        for (int j = 0; j < here; j++) rows[j] = from + (k + j) * step, few[j] = taps[(k + j) * tap_step];
        (add || k > 0) ? combine_few<true>(rows, few, here, to, size) : combine_few<false>(rows, few, here, to, size);
    }
}

// Numbers that begin at a cache line: loads of whole vectors then never touch two.
template <class W>
class Aligned {
  public:
    void resize(int64_t size) {
        if (size <= size_) return;
        memory_.resize(size + kLine / sizeof(W));
        size_ = size;
        auto address = reinterpret_cast<uintptr_t>(memory_.data());
        data_ = reinterpret_cast<W*>((address + kLine - 1) / kLine * kLine);
    }
    W* data() { return data_; }

  private:
    static constexpr uintptr_t kLine = 64;
    std::vector<W> memory_;
    int64_t size_ = 0;
    W* data_ = nullptr;
};

template <class W>
struct Factors {
    std::vector<W> along_x, along_y;  // empty when the filter is no outer product
};

// Finds along_y[i] * along_x[j] = taps[i, j] up to rounding. float64 results are to be exact, hence stay without.
template <class W>
Factors<W> factors(const Upfirdn2d& a, const W* taps) {
    int width = a.x.taps, height = a.y.taps;
    if (sizeof(W) == 8 || height == 1) return {};
    const W* peak = std::max_element(taps, taps + width * height, [](W p, W q) { return std::abs(p) < std::abs(q); });
    if (*peak == 0) return {};
    int row = int(peak - taps) / width, column = int(peak - taps) % width;
    Factors<W> found{{taps + row * width, taps + (row + 1) * width}, {}};
    for (int i = 0; i < height; i++) found.along_y.push_back(taps[i * width + column] / *peak);
    for (int i = 0; i < height * width; i++) {
        W product = found.along_y[i / width] * found.along_x[i % width];
        if (std::abs(product - taps[i]) > W(2e-7) * std::abs(*peak)) return {};
    }
    return found;
}

// Makes rows of one result.
template <class T>
class Resampler {
    using W = Wide<T>;

  public:
    Resampler(const Upfirdn2d& a, const W* taps, const Factors<W>& split)
        : a_(a), taps_(taps), split_(split), windows_(a.x.size_out) {
        for (int i = 0; i < a.x.size_out; i++) windows_[i] = window(a.x, i);
    }

    void row(const T* image, int y, T* to) {
        int64_t span = std::max<int64_t>(1, kBufferElements / a_.inner / a_.x.down * a_.x.up);
        for (int64_t first = 0; first < a_.x.size_out; first += span) {
            stretch(image, window(a_.y, y), int(first), int(std::min<int64_t>(first + span, a_.x.size_out)), to);
        }
    }

  private:
    // Columns first .. last - 1 of the result's row.
    void stretch(const T* image, Window rows, int first, int last, T* to) {
        int64_t row_size = a_.x.size * a_.inner, size = (last - first) * a_.inner;
        const T* top = image + rows.sample * row_size;
        W* sums = place_of_sums(to + first * a_.inner, size);
        if (rows.count == 0) std::fill(sums, sums + size, W(0));
        if (split_.along_y.empty()) {
            W one = 1;
            for (int k = 0; k < rows.count; k++) {
                gather(top + k * row_size, 0, &one, 0, 1, first, last);
                along(taps_ + (rows.tap + k * a_.y.up) * a_.x.taps, k > 0, first, last, sums);
            }
        } else if (rows.count > 0) {
            gather(top, row_size, split_.along_y.data() + rows.tap, a_.y.up, rows.count, first, last);
            along(split_.along_x.data(), false, first, last, sums);
        }
        finish(sums, to + first * a_.inner, size);
    }

    // Sums are made where they are to stay, or in a buffer where the result has fewer bits.
    W* place_of_sums(W* to, int64_t) { return to; }
    template <class Stored>
    W* place_of_sums(Stored*, int64_t size) {
        sums_.resize(size);
        return sums_.data();
    }
    void finish(const W*, W*, int64_t) {}
    template <class Stored>
    void finish(const W* __restrict sums, Stored* __restrict to, int64_t size) {
#pragma omp simd
        for (int64_t i = 0; i < size; i++) narrow(sums[i], to[i]);
    }

    // Rows with factors, over all samples that the columns need; zeros beyond the image.
    void gather(const T* from, int64_t step, const W* taps, int tap_step, int count, int first, int last) {
        begin_ = divide_up(first * a_.x.down - a_.x.pad, a_.x.up);
        int end = divide_down((last - 1) * a_.x.down - a_.x.pad + a_.x.taps - 1, a_.x.up) + 1;
        int inside = std::clamp(begin_, 0, a_.x.size), beyond = std::clamp(end, inside, a_.x.size);
        int64_t size = std::max(0, end - begin_) * a_.inner;
        buffer_.resize(size);
        W* at = buffer_.data() + (inside - begin_) * a_.inner;
        W* after = at + (beyond - inside) * a_.inner;
        if (inside >= end) at = after = buffer_.data();
        std::fill(buffer_.data(), at, W(0));
        accumulate(from + inside * a_.inner, step, taps, tap_step, count, false, at, after - at);
        std::fill(after, buffer_.data() + size, W(0));
    }

    // The buffer, filtered along x, in place of the sums or added to them.
    void along(const W* taps, bool add, int first, int last, W* sums) {
        if (a_.x.up == 1 && a_.x.down == 1) {
            return accumulate(buffer_.data(), a_.inner, taps, 1, a_.x.taps, add, sums, (last - first) * a_.inner);
        }
        for (int x = first; x < last; x++) {
            const Window& w = windows_[x];
            const W* from = buffer_.data() + (w.sample - begin_) * a_.inner;
            W* to = sums + (x - first) * a_.inner;
            if (a_.inner == 1) {
                W sum = add ? *to : W(0);
                for (int k = 0; k < w.count; k++) sum += taps[w.tap + k * a_.x.up] * from[k];
                *to = sum;
            } else {
                accumulate(from, a_.inner, taps + w.tap, a_.x.up, w.count, add, to, a_.inner);
            }
        }
    }

    const Upfirdn2d& a_;
    const W* taps_;
    const Factors<W>& split_;
    std::vector<Window> windows_;
    Aligned<W> buffer_, sums_;
    int begin_ = 0;  // the sample that the buffer starts at
};

// In the order in which they meet the image, times the gain.
template <class W>
std::vector<W> ordered(const Upfirdn2d& a, const W* taps) {
    std::vector<W> found(taps, taps + a.x.taps * a.y.taps);
    if (a.flip) std::reverse(found.begin(), found.end());
    for (W& tap : found) tap *= W(a.gain);
    return found;
}

template <class T>
void resample(const Upfirdn2d& a, const T* x, const Wide<T>* given, T* y) {
    std::vector<Wide<T>> in_order = ordered(a, given);
    const Wide<T>* taps = in_order.data();
    Factors<Wide<T>> split = factors(a, taps);
    int64_t size = int64_t(a.x.size) * a.y.size * a.inner, row = a.x.size_out * a.inner;
    int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, row));
    at::parallel_for(0, a.images * a.y.size_out, grain, [&](int64_t begin, int64_t end) {
        Resampler<T> resampler(a, taps, split);
        for (int64_t i = begin; i < end; i++) {
            resampler.row(x + i / a.y.size_out * size, int(i % a.y.size_out), y + i * row);
        }
    });
}

}  // namespace

void launch_upfirdn2d(const Upfirdn2d& a, const void* x, const void* taps, void* y, void*) {
    switch (a.type) {
        case Type::float64: return resample(a, (const double*)x, (const double*)taps, (double*)y);
        case Type::bfloat16: return resample(a, (const BFloat16*)x, (const float*)taps, (BFloat16*)y);
        default: return resample(a, (const float*)x, (const float*)taps, (float*)y);
    }
}

}  // namespace steergan
