# libc++, libc++abi and the part of libunwind that WebAssembly needs, of the compiler's own version, with exceptions.
# Object files of the three go into libc++.a and libc++abi.a, since clang names no unwinder on the link line.

x := $(SRC)/libcxx/src
a := $(SRC)/libcxxabi/src

cxx_headers := $(OUT)/include/c++/v1/.done
cxxflags := $(common) -nostdinc++ -isystem $(OUT)/include/c++/v1 -fwasm-exceptions -mllvm -wasm-enable-sjlj \
  -std=c++23 -ffunction-sections -fdata-sections -faligned-allocation -fvisibility-inlines-hidden \
  -D_LIBCPP_BUILDING_LIBRARY -DLIBCXX_BUILDING_LIBCXXABI -D_LIBCXXABI_BUILDING_LIBRARY \
  -D_LIBCPP_REMOVE_TRANSITIVE_INCLUDES -I $(x) -I $(a) -I $(SRC)/libcxxabi/include -I $(SRC)/libunwind/include

cxx_files := $(filter-out $(x)/new.cpp,$(wildcard $(x)/*.cpp $(x)/filesystem/*.cpp $(x)/ryu/*.cpp))
abi_files := $(filter-out $(addprefix $(a)/,cxa_noexception.cpp cxa_exception.cpp stdlib_new_delete.cpp),\
  $(wildcard $(a)/*.cpp))
cxx_objects := $(cxx_files:$(SRC)/%.cpp=$(OBJ)/%.o)
abi_objects := $(abi_files:$(SRC)/%.cpp=$(OBJ)/%.o) $(OBJ)/libunwind/src/Unwind-wasm.o \
  $(OBJ)/ours/cxx/exception.o $(OBJ)/ours/cxx/new.o

$(cxx_headers): $(SRC)/.unpacked $(here)/cxx/__config_site
	@mkdir -p $(@D)
	cp -Rp $(SRC)/libcxx/include/. $(@D)/
	rm -f $(@D)/CMakeLists.txt $(@D)/*.in
	cp -p $(SRC)/libcxx/vendor/llvm/default_assertion_handler.in $(@D)/__assertion_handler
	cp -p $(SRC)/libcxxabi/include/cxxabi.h $(SRC)/libcxxabi/include/__cxxabi_config.h $(@D)/
	cp -p $(here)/cxx/__config_site $(@D)/
	@mkdir -p $(OUT)/include && cp -p $(SRC)/libunwind/include/unwind.h $(SRC)/libunwind/include/unwind_itanium.h \
	  $(SRC)/libunwind/include/__libunwind_config.h $(OUT)/include/
	@touch $@
$(cxx_objects) $(abi_objects): | $(cxx_headers) $(inc)/.done

$(OBJ)/libcxx/%.o: $(SRC)/libcxx/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(cxxflags) -c $< -o $@
$(OBJ)/libcxxabi/%.o: $(SRC)/libcxxabi/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(cxxflags) -c $< -o $@
$(OBJ)/ours/cxx/%.o: $(here)/cxx/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(cxxflags) -I $(here)/libc -c $< -o $@
$(OBJ)/libunwind/%.o: $(SRC)/libunwind/%.c
	@mkdir -p $(@D)
	$(CC) $(common) -std=gnu17 -fwasm-exceptions -fms-extensions -I $(SRC)/libunwind/include -c $< -o $@

$(lib)/libc++.a: $(cxx_objects)
	@mkdir -p $(@D) && rm -f $@
	$(AR) crs $@ $^
$(lib)/libc++abi.a: $(abi_objects)
	@mkdir -p $(@D) && rm -f $@
	$(AR) crs $@ $^
$(lib)/libunwind.a $(lib)/libc++experimental.a:
	@mkdir -p $(@D)
	$(AR) crs $@

cxx: $(lib)/libc++.a $(lib)/libc++abi.a $(lib)/libunwind.a $(lib)/libc++experimental.a

-include $(cxx_objects:.o=.d) $(abi_objects:.o=.d)
