#include "pins.h"

#include <stdlib.h>

struct pin {
    struct pin *next;
    uint64_t id;
    uint64_t count;
    bool dropped;
};

status_t pins_init(struct pins *p, struct error *err)
{
    int code = pthread_mutex_init(&p->lock, NULL);
    return code == 0 ? ST_OK : error_set_errno(err, code, "mutex");
}

void pins_done(struct pins *p)
{
    for (size_t i = 0; i < PIN_CHAINS; i++) {
        while (p->chains[i] != NULL) {
            struct pin *pin = p->chains[i];
            p->chains[i] = pin->next;
            free(pin);
        }
    }
    pthread_mutex_destroy(&p->lock);
}

/* The link to the pin of id, or to the end of its chain. */
static struct pin **find(struct pins *p, uint64_t id)
{
    struct pin **link = &p->chains[id % PIN_CHAINS];
    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    return link;
}

bool pins_add(struct pins *p, uint64_t id)
{
    pthread_mutex_lock(&p->lock);
    struct pin **link = find(p, id);
    if (*link == NULL && (*link = calloc(1, sizeof **link)) != NULL) {
        (*link)->id = id;
    }
    bool ok = *link != NULL;
    if (ok) {
        (*link)->count++;
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

bool pins_has(struct pins *p, uint64_t id)
{
    pthread_mutex_lock(&p->lock);
    bool has = *find(p, id) != NULL;
    pthread_mutex_unlock(&p->lock);
    return has;
}

bool pins_remove(struct pins *p, uint64_t id)
{
    bool last = false;
    pthread_mutex_lock(&p->lock);
    struct pin **link = find(p, id), *pin = *link;
    if (pin != NULL && --pin->count == 0) {
        last = pin->dropped;
        *link = pin->next;
        free(pin);
    }
    pthread_mutex_unlock(&p->lock);
    return last;
}

bool pins_drop(struct pins *p, uint64_t id)
{
    pthread_mutex_lock(&p->lock);
    struct pin *pin = *find(p, id);
    if (pin != NULL) {
        pin->dropped = true;
    }
    pthread_mutex_unlock(&p->lock);
    return pin == NULL;
}
