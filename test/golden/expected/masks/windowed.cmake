# attention windowed, from masks.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_windowed:
#
#   include(path/to/windowed.cmake)
#   target_link_libraries(my_program PRIVATE mtac_windowed)
#
# CMAKE_CUDA_ARCHITECTURES, where it is set, says which devices to compile for.

# Before the language: enabling it sets a default.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(mtac_windowed STATIC
  "${CMAKE_CURRENT_LIST_DIR}/windowed.cu"
)
target_include_directories(mtac_windowed PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(mtac_windowed PUBLIC CUDA::cudart)
target_compile_features(mtac_windowed PRIVATE cuda_std_17)
set_target_properties(mtac_windowed PROPERTIES POSITION_INDEPENDENT_CODE ON)
