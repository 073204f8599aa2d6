/* The bitcode of the library routines, one blob for each architecture. */
    .section .rodata
    .global aot_routines_x86_64, aot_routines_x86_64_end
    .global aot_routines_aarch64, aot_routines_aarch64_end
    .hidden aot_routines_x86_64, aot_routines_x86_64_end
    .hidden aot_routines_aarch64, aot_routines_aarch64_end
    .balign 16
aot_routines_x86_64:
    .incbin "routines.x86_64.bc"
aot_routines_x86_64_end:
    .balign 16
aot_routines_aarch64:
    .incbin "routines.aarch64.bc"
aot_routines_aarch64_end:
    .section .note.GNU-stack,"",%progbits
