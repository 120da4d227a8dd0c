// The calls of NativeStorage about studies.
//
// SPDX-License-Identifier: MIT
#include "python/native/borrowed.h"
#include "python/native/errors.h"
#include "python/native/scratch.h"
#include "python/native/storage.h"
#include "python/native/trial_builder.h"
#include "python/native/values.h"

namespace oj::python {
namespace {

nb::object directions_to_python(const std::vector<schema::Direction>& directions) {
  nb::list list;
  for (const schema::Direction direction : directions) {
    list.append(python_types().directions[static_cast<std::size_t>(direction)]);
  }
  return list;
}

}  // namespace

std::uint64_t NativeStorage::create_new_study(nb::handle directions, nb::handle name) {
  Borrowed borrowed;
  std::vector<schema::Direction> numbers;
  for (nb::handle direction : directions) numbers.push_back(direction_from_python(direction));
  return write(schema::CreateStudy{borrowed.text(name, "a study's name"), numbers}).id;
}

void NativeStorage::delete_study(nb::handle study_id) {
  const std::uint64_t id = id_from_python(study_id);
  write(schema::DeleteStudy{id});
  objects_.erase(id);
}

void NativeStorage::set_study_user_attr(nb::handle study_id, nb::handle key, nb::handle value) {
  Borrowed borrowed;
  const schema::Attr attr{borrowed.text(key, "an attribute's key"), borrowed.value(value)};
  write(schema::SetStudyUserAttr{id_from_python(study_id), attr});
}

void NativeStorage::set_study_system_attr(nb::handle study_id, nb::handle key, nb::handle value) {
  Borrowed borrowed;
  const schema::Attr attr{borrowed.text(key, "an attribute's key"), borrowed.value(value)};
  write(schema::SetStudySystemAttr{id_from_python(study_id), attr});
}

std::uint64_t NativeStorage::get_study_id_from_name(nb::handle name) {
  Borrowed borrowed;
  const std::string_view text = borrowed.text(name, "a study's name");
  std::uint64_t id = UINT64_MAX;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(text);
    if (study != nullptr) id = study->id;
  });
  if (id != UINT64_MAX) return id;
  raise(PyExc_KeyError, "No study with name " + nb::cast<std::string>(nb::repr(name)) + " exists.");
}

nb::object NativeStorage::get_study_name_from_id(nb::handle study_id) {
  const std::uint64_t id = id_from_python(study_id);
  std::optional<std::string> name;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    if (study != nullptr) name = study->name;
  });
  if (!name) raise_no_study(id);
  return text_to_python(*name);
}

nb::object NativeStorage::get_study_directions(nb::handle study_id) {
  const std::uint64_t id = id_from_python(study_id);
  std::optional<std::vector<schema::Direction>> directions;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    if (study != nullptr) directions = study->directions;
  });
  if (!directions) raise_no_study(id);
  return directions_to_python(*directions);
}

nb::object NativeStorage::study_attrs(nb::handle study_id,
                                      const replay::AttrMap replay::Study::*which) {
  const std::uint64_t id = id_from_python(study_id);
  Scratch copies(spare_copies_);
  std::optional<TrialCopies::Range> attrs;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    if (study != nullptr) attrs = copies->add(study->*which);
  });
  if (!attrs) raise_no_study(id);
  return build_attrs(*copies, *attrs);
}

nb::object NativeStorage::get_study_user_attrs(nb::handle study_id) {
  return study_attrs(study_id, &replay::Study::user_attrs);
}

nb::object NativeStorage::get_study_system_attrs(nb::handle study_id) {
  return study_attrs(study_id, &replay::Study::system_attrs);
}

nb::object NativeStorage::get_all_studies() {
  struct Row {
    std::uint64_t id;
    std::vector<schema::Direction> directions;
    TrialCopies::Range name, user_attrs, system_attrs;
  };
  Scratch copies(spare_copies_);
  std::vector<Row> rows;
  std::vector<std::shared_ptr<StudyObjects>> deleted;  // die after the look
  look([&](const replay::State& state) {
    for (const auto& [id, study] : state.studies()) {
      rows.push_back({id, study.directions, copies->add(study.name), copies->add(study.user_attrs),
                      copies->add(study.system_attrs)});
    }
    for (auto it = objects_.begin(); it != objects_.end();) {
      const bool gone = state.study(it->first) == nullptr;
      if (gone) deleted.push_back(std::move(it->second));
      it = gone ? objects_.erase(it) : std::next(it);
    }
  });
  nb::list list;
  for (const Row& row : rows) {
    list.append(nb::make_tuple(
        row.id, text_to_python(copies->text(row.name)), directions_to_python(row.directions),
        build_attrs(*copies, row.user_attrs), build_attrs(*copies, row.system_attrs)));
  }
  return list;
}

}  // namespace oj::python
