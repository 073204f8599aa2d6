/* Heat spreads over a metal plate: heat PLATE IMAGE [STEPS]
 *
 * PLATE is a picture in text: a digit is a part held at that temperature (0 cold, 9 hot), a dot is bare metal.
 * IMAGE is written as PGM, one grey pixel per point; what happens on the way goes to standard output as CSV. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCALE = 12, LINE_MAX_CHARS = 256, ROWS_MAX = 256 };

struct plate {
    size_t width, height; /* with a border of one cold point on each side */
    double *now, *next;
    double *open; /* 1 where heat flows, 0 where the temperature is held */
    double *held; /* the temperature that is held there */
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double *points(const struct plate *p)
{
    double *array = calloc(p->width * p->height, sizeof(*array));
    if (!array)
        fail("memory");
    return array;
}

static void plate_read(struct plate *p, const char *name)
{
    static char rows[ROWS_MAX][LINE_MAX_CHARS];
    size_t columns = 0, count = 0;
    FILE *file = fopen(name, "r");
    if (!file)
        fail(name);
    while (count < ROWS_MAX && fgets(rows[count], LINE_MAX_CHARS, file)) {
        size_t length = strcspn(rows[count], "\n");
        if (length > columns)
            columns = length;
        count++;
    }
    fclose(file);
    p->width = columns * SCALE + 2;
    p->height = count * SCALE + 2;
    p->now = points(p);
    p->next = points(p);
    p->open = points(p);
    p->held = points(p);
    for (size_t y = 1; y < p->height - 1; y++) {
        for (size_t x = 1; x < p->width - 1; x++) {
            char c = rows[(y - 1) / SCALE][(x - 1) / SCALE];
            size_t i = y * p->width + x;
            if (c >= '0' && c <= '9')
                p->now[i] = p->held[i] = (c - '0') / 9.0 * 100.0;
            else
                p->open[i] = 1.0;
        }
    }
}

/* Each free point becomes the mean of its four neighbours. */
static void plate_step(struct plate *p)
{
    size_t width = p->width;
    for (size_t y = 1; y < p->height - 1; y++) {
        double *restrict next = p->next + y * width;
        const double *now = p->now + y * width, *open = p->open + y * width, *held = p->held + y * width;
        for (size_t x = 1; x < width - 1; x++) {
            double mean = 0.25 * (now[x - width] + now[x + width] + now[x - 1] + now[x + 1]);
            next[x] = held[x] + open[x] * mean;
        }
    }
    double *swap = p->now;
    p->now = p->next;
    p->next = swap;
}

static void plate_report(const struct plate *p, long step)
{
    double sum = 0.0, warmest = 0.0;
    for (size_t i = 0; i < p->width * p->height; i++) {
        sum += p->now[i];
        if (p->open[i] > 0.0 && p->now[i] > warmest)
            warmest = p->now[i];
    }
    printf("%ld,%.6f,%.6f\n", step, sum / (double)(p->width * p->height), warmest);
}

static void plate_write(const struct plate *p, const char *name)
{
    FILE *file = fopen(name, "wb");
    if (!file)
        fail(name);
    fprintf(file, "P5\n%zu %zu\n255\n", p->width, p->height);
    for (size_t i = 0; i < p->width * p->height; i++)
        fputc((int)(p->now[i] * 2.55 + 0.5), file);
    if (fclose(file))
        fail(name);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: heat PLATE IMAGE [STEPS]\n");
        return 2;
    }
    long steps = argc > 3 ? strtol(argv[3], NULL, 10) : 2000;
    struct plate plate;
    plate_read(&plate, argv[1]);
    printf("step,mean,warmest\n");
    for (long step = 1; step <= steps; step++) {
        plate_step(&plate);
        if (step % (steps / 4 ? steps / 4 : 1) == 0)
            plate_report(&plate, step);
    }
    plate_write(&plate, argv[2]);
    return 0;
}
