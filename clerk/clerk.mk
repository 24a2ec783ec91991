# clerk.mk - which objects of clerk/ the unit tests bring along
