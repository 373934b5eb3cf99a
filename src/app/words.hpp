// The words of `tidegate`, one file each (word_*.cpp). Each adds itself to the command line.
#pragma once

#include <string>

#include "app/command_line.hpp"

namespace tg::app {

void add_up(CommandLine& line);
void add_init(CommandLine& line);
void add_check(CommandLine& line);
void add_render(CommandLine& line);
void add_keys(CommandLine& line);
void add_usage(CommandLine& line);
void add_status(CommandLine& line);
void add_models(CommandLine& line);
void add_explain(CommandLine& line);
void add_schema(CommandLine& line);
void add_version(CommandLine& line);
void add_diagnose(CommandLine& line);

// All of them, in the order of the help.
void add_words(CommandLine& line);

std::string program_version();

}  // namespace tg::app
