/* Gravity between all pairs, leapfrog steps. */

#include <math.h>

#include "kernel.h"

enum { STEPS = 24 };

struct body {
    double x, y, z;
    double vx, vy, vz;
    double mass;
};

static void kick(int n, struct body *bodies, double dt)
{
    const double soft = 1e-4;
    for (int i = 0; i < n; i++) {
        struct body *a = &bodies[i];
        double ax = 0.0, ay = 0.0, az = 0.0;
        for (int j = 0; j < n; j++) {
            const struct body *b = &bodies[j];
            double dx = b->x - a->x;
            double dy = b->y - a->y;
            double dz = b->z - a->z;
            double r2 = dx * dx + dy * dy + dz * dz + soft;
            double f = b->mass / (r2 * sqrt(r2));
            ax += f * dx;
            ay += f * dy;
            az += f * dz;
        }
        a->vx += dt * ax;
        a->vy += dt * ay;
        a->vz += dt * az;
    }
}

static void drift(int n, struct body *bodies, double dt)
{
    for (int i = 0; i < n; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 2000);
    struct body *bodies = kernel_array((size_t)n, sizeof *bodies);
    uint64_t seed = KERNEL_SEED;
    for (int i = 0; i < n; i++) {
        bodies[i].x = kernel_random_unit(&seed);
        bodies[i].y = kernel_random_unit(&seed);
        bodies[i].z = kernel_random_unit(&seed);
        bodies[i].mass = 0.5 + kernel_random_unit(&seed);
    }

    uint64_t start = kernel_clock();
    for (int s = 0; s < STEPS; s++) {
        kick(n, bodies, 1e-6);
        drift(n, bodies, 1e-6);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        const double state[6] = {bodies[i].x,  bodies[i].y,  bodies[i].z,
                                 bodies[i].vx, bodies[i].vy, bodies[i].vz};
        sum = kernel_mix_doubles(sum, state, 6);
    }
    free(bodies);
    return kernel_report("nbody", n, sum, start, end);
}
