# attention heads_only, from full.mta:14. Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_heads_only:
#
#   include(path/to/heads_only.cmake)
#   target_link_libraries(my_program PRIVATE mtac_heads_only)
#
# CMAKE_CUDA_ARCHITECTURES, where it is set, says which devices to compile for.

# Before the language: enabling it sets a default.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(mtac_heads_only STATIC
  "${CMAKE_CURRENT_LIST_DIR}/heads_only.cu"
)
target_include_directories(mtac_heads_only PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(mtac_heads_only PUBLIC CUDA::cudart)
target_compile_features(mtac_heads_only PRIVATE cuda_std_17)
set_target_properties(mtac_heads_only PROPERTIES POSITION_INDEPENDENT_CODE ON)
