__attribute__((import_module("bench"), import_name("tick"))) int tick(int value);

__attribute__((export_name("loop"))) int loop(int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        value = tick(value);
    }
    return value;
}
