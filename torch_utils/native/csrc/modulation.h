// What a modulated convolution does to its input and result, done on the way by the convolutions of minimal filtering,
// so that each is visited once:
//     y = clip(gain * act(out_scale * conv(x * in_scale) + noise + bias), -clamp, clamp)
#pragma once

#include <vector>

#include "bias_act.h"
#include "lanes.h"

namespace steergan {

// in_scale [N, in], out_scale [N, out], noise [N or 1, H, W], bias [out]; each may be null.
struct Modulation {
    const float *in_scale, *out_scale, *noise, *bias;
    bool noise_per_sample;
    Activation act;
    float alpha, gain, clamp;
};

template <Kind K>
class Modulated {
  public:
    // pixels: of a result
    Modulated(const Modulation& m, int64_t in, int64_t out, int64_t pixels)
        : m_(m), curve_{m.act, m.alpha, m.gain, m.clamp}, in_(in), out_(out), pixels_(pixels),
          ones_(in > out ? in : out, 1.0f), zeros_(out, 0.0f) {}

    const float* in_scales(int64_t n) const { return m_.in_scale ? m_.in_scale + n * in_ : ones_.data(); }
    const float* out_scales(int64_t n) const { return m_.out_scale ? m_.out_scale + n * out_ : ones_.data(); }
    const float* biases() const { return m_.bias ? m_.bias : zeros_.data(); }
    float noise(int64_t n, int64_t pixel) const {
        return m_.noise ? m_.noise[(m_.noise_per_sample ? n * pixels_ : 0) + pixel] : 0.0f;
    }
    // clip(gain * act(u), -clamp, clamp)
    Lanes activate(Lanes u) const {
        if constexpr (K == Kind::any) {
            float values[kLanes];
            store(u, values);
            for (float& value : values) value = curve_.value(value);
            return load(values);
        } else {
            Lanes y = curve_.gain * (K == Kind::lrelu ? (u > 0 ? u : u * curve_.alpha) : u), most = all(curve_.clamp);
            return y > most ? most : (y < -most ? -most : y);
        }
    }

  private:
    const Modulation& m_;
    Curve<K, float> curve_;
    int64_t in_, out_, pixels_;
    std::vector<float> ones_, zeros_;
};

}  // namespace steergan
