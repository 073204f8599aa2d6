// Mathematical functions; digits that any good library agrees on.
#include <complex.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>

int main(void)
{
    static const double at[] = {0.1, 0.5, 1.0, 2.5, 10.0, 123.456};

    for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
        double x = at[i];

        printf("%.12g %.12g %.12g %.12g %.12g %.12g\n", sin(x), cos(x), tan(x), exp(-x), log(x), sqrt(x));
        printf("%.12g %.12g %.12g %.12g %.12g %.12g\n", sinh(x / 10), tanh(x), asin(x / 200), atan2(x, 2), cbrt(x),
               hypot(x, 3));
        printf("%.12g %.12g %.12g %.12g %.12g\n", pow(x, 1.5), exp2(x / 10), log1p(x), expm1(-x), fmod(x, 0.7));
        printf("%.12g %.12g %.12g %.12g\n", tgamma(x / 20), lgamma(x), erf(x / 10), erfc(x / 10));
        printf("%.6g %.6g %.6g\n", (double)sinf((float)x), (double)powf((float)x, 0.3f), (double)expf(-(float)x));
    }
    printf("%g %g %g %g %g %g\n", floor(-1.5), ceil(-1.5), trunc(-1.5), round(-1.5), nearbyint(2.5), rint(3.5));
    printf("%ld %lld %ld\n", lround(2.5), llrint(2.5), lrint(-0.4));
    printf("%d %d %d %d\n", isnan(NAN) != 0, isinf(INFINITY) != 0, signbit(-0.0) != 0, isnormal(1e-310) != 0);
    int e;
    double m = frexp(48.0, &e), ip, f = modf(3.75, &ip);
    printf("%g %d %g %g %g\n", m, e, ldexp(m, e), f, ip);
    printf("%a %a %g\n", nextafter(1.0, 2.0), copysign(1.0, -2.0), fma(2.0, 3.0, 4.0));
    printf("%g %g %g\n", fmin(NAN, 1.0), fmax(2.0, 3.0), fdim(5.0, 3.0));
    printf("%.10g %.10Lg %.10Lg\n", remainder(10.0, 3.0), sqrtl(2.0L), powl(2.0L, 0.5L));
    double complex z = cexp(1.0 + 2.0 * I);
    printf("%.12g %.12g %.12g\n", creal(z), cimag(z), cabs(csqrt(-4.0)));
    printf("%d\n", fegetround() == FE_TONEAREST);
    return 0;
}
