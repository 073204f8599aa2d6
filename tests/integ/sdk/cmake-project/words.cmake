# What a test is given, word by word.
if(NOT CMAKE_ARGC EQUAL 7 OR NOT CMAKE_ARGV5 STREQUAL "" OR NOT CMAKE_ARGV6 STREQUAL "last" OR NOT "${LIST}" STREQUAL "a;b")
  message(FATAL_ERROR "${CMAKE_ARGC} words; '${CMAKE_ARGV5}', '${CMAKE_ARGV6}', '${LIST}'")
endif()
