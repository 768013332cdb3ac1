// Conditions and groups move by their grip, with mouse or finger, within a list, into groups and out of them.
/* global Sortable */

// `moved(from, index, to, place)`: lists as drawn. What is asked of one kind of records stays with that kind.
export function makeDraggable(root, moved) {
  root.querySelectorAll(".rule-list").forEach((list) => {
    Sortable.create(list, {
      group: list.dataset.scope,
      draggable: ".rule-node",
      handle: ".rule-grip",
      animation: 150,
      forceFallback: true, // one behaviour for mouse and finger
      fallbackOnBody: true,
      fallbackTolerance: 4,
      invertSwap: true, // before what is under the upper half of it, behind it under the lower, whichever list that is in
      invertedSwapThreshold: 1,
      emptyInsertThreshold: 12,
      ghostClass: "is-landing",
      dragClass: "is-flying",
      onStart: () => document.body.classList.add("is-dragging"),
      onEnd: (event) => {
        document.body.classList.remove("is-dragging");
        moved(event.from, event.oldDraggableIndex, event.to, event.newDraggableIndex);
      },
    });
  });
}
